"""Whole-image procedures around a dense model: overlapping windows, several scales, mirror images.

Each is called as ``inference(dense, image)``, where ``dense`` maps an image to a map of the same size, and can be
put inside another. Raw outputs are averaged, not probabilities: that is right for every linear output (a density
as much as a class score), and for logits it is the normalised geometric mean of the probabilities.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visionkit.errors import ConfigError, nearest
from visionkit.types import Dense, Inference, Windowed


def _uniform(length: int) -> Float[Tensor, " length"]:
    return torch.ones(length, dtype=torch.float64)


def _gaussian(length: int) -> Float[Tensor, " length"]:
    """Bell with a deviation of an eighth of the window: borders, where context is missing, count little."""
    offset = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    return torch.exp(-0.5 * (offset / (length / 8)) ** 2)


_EVERY = (slice(None), slice(None))  # images and channels
_WEIGHTINGS = {"gaussian": _gaussian, "uniform": _uniform}


@dataclass(frozen=True)
class SlidingWindow:
    """Runs the model on overlapping windows and averages them, for images too large for one pass.

    Args:
        size: window in pixels, one number or one for each axis; never larger than the image.
        overlap: least share of a window that its neighbour covers too, 0 up to but not including 1.
        batch_size: windows (times images) that pass through the model at once.
        weighting: ``gaussian`` (the middle of a window counts most) or ``uniform``.
        pad: bring what is smaller than the window to its size by zeros around it (as nnU-Net does). For networks that
            were trained on padded patches and whose normalisation looks at a whole window.

    Raises ConfigError where a value makes no sense.
    """

    size: int | Sequence[int]
    overlap: float = 0.5
    batch_size: int = 4
    weighting: str = "gaussian"
    pad: bool = False

    def __post_init__(self) -> None:
        sizes = [self.size] if isinstance(self.size, int) else list(self.size)
        if not sizes or min(sizes) < 1:
            raise ConfigError("C44", "inference.size", f"{self.size} is no window", "give pixels, such as [512, 512]")
        if not 0 <= self.overlap < 1:
            raise ConfigError("C44", "inference.overlap", f"{self.overlap} is not in 0..1", "give a share such as 0.5")
        if self.batch_size < 1:
            raise ConfigError("C44", "inference.batch_size", f"{self.batch_size} is not positive", "give 1 or more")
        if self.weighting not in _WEIGHTINGS:
            fix = nearest(self.weighting, _WEIGHTINGS)
            raise ConfigError("C44", "inference.weighting", f"there is no {self.weighting!r}", fix)

    def __call__(self, dense: Dense, image: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k *space"]:
        """Weighted mean of the windows' outputs; one window covering the image gives exactly the plain output."""
        output, begin = image.new_empty(0), 0
        for slab in self.stream(dense, image):
            if not begin:
                output = slab.new_empty(*slab.shape[:2], *image.shape[2:])
            output[:, :, begin : begin + slab.shape[2]] = slab
            begin += slab.shape[2]
        return output

    def stream(self, dense: Dense, image: Float[Tensor, "b c *space"]) -> Iterator[Float[Tensor, "b k *slab"]]:
        """The same in slabs along the first axis of space, each as soon as no further window covers it.

        What is alive at a time is as deep as the windows of one pass through the model, however deep the image.
        """
        windows = list(self._windows(image.shape[2:]))
        images = image.shape[0]
        step = max(1, self.batch_size // max(1, images))
        slab, begin = None, 0
        for start in range(0, len(windows), step):
            chunk, after = windows[start : start + step], windows[start + step :]
            maps = self._framed(dense, torch.cat([image[(*_EVERY, *place)] for place, _ in chunk]))
            maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
            end = max(place[0].stop for place, _ in chunk)
            slab = _deepened(slab, maps, (images, maps.shape[1], end - begin, *image.shape[3:]))
            for (place, weights), part in zip(chunk, maps.split(images), strict=True):
                for axis, weight in enumerate(weights):
                    part = part * weight.to(part).view(-1, *[1] * (len(weights) - 1 - axis))
                slab[(*_EVERY, slice(place[0].start - begin, place[0].stop - begin), *place[1:])] += part
            done = (after[0][0][0].start if after else image.shape[2]) - begin
            if done:
                yield slab[:, :, :done]
                slab, begin = slab[:, :, done:], begin + done

    def covers(self, space: Sequence[int]) -> bool:
        """Whether one window holds a whole image of this size."""
        return all(length <= size for length, size in zip(space, self._sizes(space), strict=True))

    def _framed(self, dense: Dense, windows: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k *space"]:
        """The model's output, where wanted with zeros around windows that are smaller than they should be."""
        space = windows.shape[2:]
        missing = [max(0, size - length) for size, length in zip(self._sizes(space), space, strict=True)]
        if not self.pad or not any(missing):
            return dense(windows)
        before = [n // 2 for n in missing]
        frame = [n for first, both in zip(before, missing, strict=True) for n in (both - first, first)]
        real = tuple(slice(first, first + length) for first, length in zip(before, space, strict=True))
        return dense(F.pad(windows, frame[::-1]))[(*_EVERY, *real)]

    def _windows(self, space: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], tuple[Tensor, ...]]]:
        """Place and weights along each axis; the weights of all windows over a pixel sum to one."""
        sizes = self._sizes(space)
        axes = [self._along(length, min(size, length)) for length, size in zip(space, sizes, strict=True)]
        for window in product(*axes):
            yield tuple(place for place, _ in window), tuple(weight for _, weight in window)

    def _sizes(self, space: Sequence[int]) -> list[int]:
        sizes = [self.size] * len(space) if isinstance(self.size, int) else list(self.size)
        if len(sizes) != len(space):
            what = f"{len(sizes)} numbers for an image with {len(space)} axes"
            raise ConfigError("C44", "inference.size", what, "give one number, or one for each axis")
        return sizes

    def _along(self, length: int, size: int) -> list[tuple[slice, Float[Tensor, " size"]]]:
        """Evenly spaced windows of one axis. Separable weights normalised here need no division afterwards."""
        stride = max(1, math.floor(size * (1 - self.overlap)))
        count = math.ceil((length - size) / stride) + 1
        starts = [round(i * (length - size) / max(1, count - 1)) for i in range(count)]
        weight, total = _WEIGHTINGS[self.weighting](size), torch.zeros(length, dtype=torch.float64)
        for start in starts:
            total[start : start + size] += weight
        places = [slice(start, start + size) for start in starts]
        return [(place, weight / total[place]) for place in places]


@dataclass(frozen=True)
class MultiScale:
    """Averages the outputs for resized and mirrored copies of the image, each resized and mirrored back.

    Args:
        scales: factors of the image's size; at 1 the image is passed as it is.
        flip: whether each copy is also seen mirrored along the last axis (left and right).
        inner: procedure for each copy, such as SlidingWindow; null for the whole copy at once.

    Raises ConfigError where there is no scale or one is not positive.
    """

    scales: Sequence[float] = (0.75, 1.0, 1.25)
    flip: bool = True
    inner: Inference | None = None

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            what = f"{list(self.scales)} are no scales"
            raise ConfigError("C44", "inference.scales", what, "give positive factors, such as [0.75,1.0,1.25]")

    def __call__(self, dense: Dense, image: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k *space"]:
        """Plain mean over scales and mirror images."""
        if image.dtype == torch.uint8:  # bytes cannot be resized without rounding
            image = image.float() / 255
        space = tuple(image.shape[2:])
        total: Tensor | None = None
        for scale in self.scales:
            view = _resize(image, _scaled(space, scale))
            for mirrored in (False, True) if self.flip else (False,):
                output = self._run(dense, view.flip(-1)).flip(-1) if mirrored else self._run(dense, view)
                output = _resize(output.to(torch.promote_types(output.dtype, torch.float32)), space)
                total = output if total is None else total + output
        assert total is not None  # there is always at least one scale
        return total / (len(self.scales) * (2 if self.flip else 1))

    def covers(self, space: Sequence[int]) -> bool:
        """Whether every copy of an image of this size passes through the model as a whole."""
        sizes = [space, *(_scaled(space, scale) for scale in self.scales)]
        return not isinstance(self.inner, Windowed) or all(map(self.inner.covers, sizes))

    def _run(self, dense: Dense, view: Tensor) -> Tensor:
        return dense(view) if self.inner is None else self.inner(dense, view)


def _deepened(slab: Tensor | None, like: Tensor, shape: Sequence[int]) -> Tensor:
    """A slab with zeros after what it holds already."""
    if slab is not None and slab.shape[2] >= shape[2]:
        return slab
    deeper = like.new_zeros(*shape)
    if slab is not None:
        deeper[:, :, : slab.shape[2]] = slab
    return deeper


def _scaled(space: Sequence[int], scale: float) -> list[int]:
    return [max(1, round(length * scale)) for length in space]


def _resize(image: Float[Tensor, "b c *space"], size: Sequence[int]) -> Float[Tensor, "b c *size"]:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[image.ndim]
    return F.interpolate(image, size=tuple(size), mode=mode, align_corners=False)
