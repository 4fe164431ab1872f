"""Stateless randomness: every random choice is a function of the seed and of its place in training."""

from hashlib import blake2b

import numpy as np
import torch


def fold(*parts: int | str) -> int:
    """A 63-bit seed from numbers and strings; the same on every machine and in every process."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """Generator for one sample: ``generator(seed, "augment", epoch, key)``."""
    return np.random.default_rng(fold(*parts))


def order(seed: int, epoch: int, length: int) -> np.ndarray:
    """Order of the samples in an epoch, int64 permutation of ``range(length)``."""
    return generator(seed, "order", epoch).permutation(length)


def seed_model(seed: int, step: int, rank: int) -> None:
    """Makes dropout, stochastic depth and every other draw of a training step a function of its place."""
    torch.manual_seed(fold(seed, "step", step, rank))
