"""Weights as safetensors: bytes that hold tensors and cannot hold code."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
from torch import Tensor

from visionkit.errors import ConfigError, StorageError, UnsafeFileError

_MAX_HEADER_BYTES = 64 * 2**20
_AGAIN = "export the run again"


def pack(state: Mapping[str, Tensor]) -> bytes:
    """Tensors of a ``state_dict`` as a safetensors file."""
    # Copies, since safetensors refuses tensors that share memory.
    return safetensors.torch.save({key: value.detach().cpu().contiguous().clone() for key, value in state.items()})


def unpack(data: bytes, file: Path) -> dict[str, Tensor]:
    """The inverse of ``pack``. UnsafeFileError U10 for a pickle, U11 for anything else; ``file`` is for the message."""
    # The first byte of a safetensors file is part of a length and can be that of a pickle; its ninth cannot.
    if data[:2] == b"PK" or (data[:1] == b"\x80" and data[8:9] != b"{"):
        raise UnsafeFileError("U10", file, "is a pickle, which can run code when it is read", _AGAIN)
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if length > _MAX_HEADER_BYTES or data[8:9] != b"{":
            raise ValueError("there is no safetensors header")
        return safetensors.torch.load(data)
    except Exception as error:  # whatever the parser met: the file is not what it should be
        raise UnsafeFileError("U11", file, f"is not a safetensors file ({error})", _AGAIN) from error


def difference(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """The first tensor by which ``state`` does not fit a model, in words; empty where it fits."""
    for key in [*wanted, *state]:
        if key not in state:
            return f"{key[:100]!r} is missing"
        if key not in wanted:
            return f"{key[:100]!r} is not part of the model"
        if state[key].shape != wanted[key].shape:
            return f"{key[:100]!r} is {list(state[key].shape)} and should be {list(wanted[key].shape)}"
    return ""


def require_fitting(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: Path, changes: Sequence[str]
) -> None:
    """For weights of a run and the model of its configuration.

    Raises:
        ConfigError: C233 they do not fit, and a command made ``changes`` of the configuration.
        StorageError: S21 they do not fit as it is.
    """
    problem = difference(state, wanted)
    if problem and changes:
        fix = "leave out what changes the network, or train it: train.py ... start_from=RUN takes up what fits"
        raise ConfigError("C233", " ".join(changes), f"does not fit {source.name}: {problem}", fix)
    if problem:
        raise StorageError("S21", source, f"does not fit config.yaml: {problem}", "use the run that wrote it")
