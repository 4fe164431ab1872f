"""Losses of semantic segmentation: logits ``b k *space`` against class indices ``b *space``, 2D and 3D.

Every loss is computed in float32 at least, leaves out the pixels that are ``ignore_index``, and is zero (with its
graph, so that ``backward`` works) where nothing is labelled. Sums are taken over unreduced losses because that is
the only form of the cross entropy which is deterministic on a GPU.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.types import IGNORE_INDEX

Weights = Sequence[float] | Float[Tensor, " k"] | None
"""One factor for each class."""

_TINY = 1e-12


def cross_entropy(
    logits: Float[Tensor, "b k *space"],
    target: Int64[Tensor, "b *space"],
    class_weights: Weights = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
) -> Float[Tensor, ""]:
    """Mean of ``-log p`` over the labelled pixels; with class weights, the weighted mean (as in torch)."""
    logits, weights = _exact(logits), _checked(class_weights, logits)
    pixels = F.cross_entropy(logits, target, weights, None, ignore_index, None, "none", label_smoothing)
    return pixels.sum() / _mass(target, weights, ignore_index).clamp(min=_TINY)


def dice_loss(
    logits: Float[Tensor, "b k *space"],
    target: Int64[Tensor, "b *space"],
    class_weights: Weights = None,
    smooth: float = 1.0,
    present_only: bool = True,
    background: bool = True,
    ignore_index: int = IGNORE_INDEX,
) -> Float[Tensor, ""]:
    """Soft Dice, ``1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``, averaged over classes.

    The sums run over the labelled pixels of the whole batch, so that a class missing from one image is no special
    case. ``present_only`` averages over the classes that the batch's truth holds; otherwise over all of them, and
    an absent class then costs the probability spent on it. Without ``background`` class 0 is left out of the mean
    (the batch Dice of nnU-Net). After Milletari et al. 2016, with first powers below.
    """
    logits, weights = _exact(logits), _checked(class_weights, logits)
    labelled = (target != ignore_index).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=logits.device).view(-1, *[1] * (logits.ndim - 2))
    truth = (target.unsqueeze(1) == classes) & labelled
    probability = logits.softmax(1) * labelled
    space = (0, *range(2, logits.ndim))
    size = truth.sum(space)
    overlap = (probability * truth).sum(space)
    loss = 1 - (2 * overlap + smooth) / (probability.sum(space) + size + smooth).clamp(min=_TINY)
    counted = (size > 0) if present_only else labelled.any().expand_as(size)
    share = counted.to(loss.dtype) if weights is None else counted * weights
    share = share if background else share * (classes.flatten() > 0)
    return (loss * share).sum() / share.sum().clamp(min=_TINY)


def focal_loss(
    logits: Float[Tensor, "b k *space"],
    target: Int64[Tensor, "b *space"],
    gamma: float = 2.0,
    alpha: Weights = None,
    ignore_index: int = IGNORE_INDEX,
) -> Float[Tensor, ""]:
    """Mean of ``-alpha (1 - p)^gamma log p`` over the labelled pixels (Lin et al. 2017, equation 5).

    ``alpha`` holds one factor for each class and, as in the paper, does not enter the denominator.
    """
    logits, factors = _exact(logits), _checked(alpha, logits, "alpha")
    surprise = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    # -expm1(-x) is 1 - p without cancellation; the floor keeps the gradient of a power below one finite.
    pixels = (-torch.expm1(-surprise)).clamp(min=1e-8) ** gamma * surprise
    if factors is not None:
        pixels = pixels * _per_pixel(factors, target, ignore_index)
    return pixels.sum() / _mass(target, None, ignore_index).clamp(min=1)


def ohem_cross_entropy(
    logits: Float[Tensor, "b k *space"],
    target: Int64[Tensor, "b *space"],
    threshold: float = 0.7,
    min_kept: int = 100_000,
    class_weights: Weights = None,
    ignore_index: int = IGNORE_INDEX,
) -> Float[Tensor, ""]:
    """Cross entropy of the hard pixels: those whose true class has a probability of at most ``threshold``.

    Where they are fewer than ``min_kept`` in the batch, the ``min_kept`` hardest are taken (all, if there are no more;
    pixels as hard as the last one taken are taken too). Online hard example mining, Shrivastava et al. 2016.
    """
    logits, weights = _exact(logits), _checked(class_weights, logits)
    surprise = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    labelled = target != ignore_index
    with torch.no_grad():
        ranked = torch.where(labelled, surprise, -math.inf).flatten()
        limit = ranked.new_tensor(-math.log(threshold) if threshold > 0 else math.inf)
        if min_kept > 0 and ranked.numel():
            limit = limit.minimum(ranked.topk(min(min_kept, ranked.numel()), sorted=False).values.min())
        share = (labelled & (surprise >= limit)).to(surprise.dtype)
        if weights is not None:
            share = share * _per_pixel(weights, target, ignore_index)
    return (surprise * share).sum() / share.sum().clamp(min=_TINY)


class CrossEntropy(nn.Module):
    """``cross_entropy`` as a term of a task's loss."""

    class_weights: Tensor | None

    def __init__(self, weight: float = 1.0, class_weights: Weights = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.weight, self.label_smoothing = weight, label_smoothing
        self.register_buffer("class_weights", _tensor(class_weights), persistent=False)

    def forward(self, logits: Float[Tensor, "b k *space"], target: Int64[Tensor, "b *space"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return cross_entropy(logits, target, self.class_weights, self.label_smoothing)


class Dice(nn.Module):
    """``dice_loss`` as a term of a task's loss."""

    class_weights: Tensor | None

    def __init__(
        self,
        weight: float = 1.0,
        class_weights: Weights = None,
        smooth: float = 1.0,
        present_only: bool = True,
        background: bool = True,
    ) -> None:
        super().__init__()
        self.weight, self.smooth, self.present_only, self.background = weight, smooth, present_only, background
        self.register_buffer("class_weights", _tensor(class_weights), persistent=False)

    def forward(self, logits: Float[Tensor, "b k *space"], target: Int64[Tensor, "b *space"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return dice_loss(logits, target, self.class_weights, self.smooth, self.present_only, self.background)


class Focal(nn.Module):
    """``focal_loss`` as a term of a task's loss."""

    alpha: Tensor | None

    def __init__(self, weight: float = 1.0, gamma: float = 2.0, alpha: Weights = None) -> None:
        super().__init__()
        self.weight, self.gamma = weight, gamma
        self.register_buffer("alpha", _tensor(alpha), persistent=False)

    def forward(self, logits: Float[Tensor, "b k *space"], target: Int64[Tensor, "b *space"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return focal_loss(logits, target, self.gamma, self.alpha)


class OhemCrossEntropy(nn.Module):
    """``ohem_cross_entropy`` as a term of a task's loss."""

    class_weights: Tensor | None

    def __init__(
        self, weight: float = 1.0, threshold: float = 0.7, min_kept: int = 100_000, class_weights: Weights = None
    ) -> None:
        super().__init__()
        self.weight, self.threshold, self.min_kept = weight, threshold, min_kept
        self.register_buffer("class_weights", _tensor(class_weights), persistent=False)

    def forward(self, logits: Float[Tensor, "b k *space"], target: Int64[Tensor, "b *space"]) -> Float[Tensor, ""]:
        """The unweighted term."""
        return ohem_cross_entropy(logits, target, self.threshold, self.min_kept, self.class_weights)


def _exact(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _tensor(weights: Weights) -> Tensor | None:
    return None if weights is None else torch.as_tensor(weights, dtype=torch.float32)


def _checked(weights: Weights, logits: Tensor, name: str = "class_weights") -> Tensor | None:
    if weights is None:
        return None
    classes = logits.shape[1]
    if len(weights) != classes:
        what = f"{len(weights)} numbers for {classes} classes"
        raise ConfigError("C41", name, what, "give one number for each class, or null")
    return torch.as_tensor(weights, dtype=logits.dtype, device=logits.device)


def _per_pixel(weights: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    labelled = target != ignore_index
    return weights[torch.where(labelled, target, 0)] * labelled


def _mass(target: Tensor, weights: Tensor | None, ignore_index: int) -> Tensor:
    """Number of labelled pixels, or the sum of their weights."""
    return (target != ignore_index).sum() if weights is None else _per_pixel(weights, target, ignore_index).sum()
