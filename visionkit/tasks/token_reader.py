"""A line is read token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torchmetrics import Metric

from visionkit.generation.result import Decoded
from visionkit.layers.strides import per_axis
from visionkit.layers.valid import valid_cells
from visionkit.losses.sequence import token_cross_entropy
from visionkit.tasks.readers import Line, as_seen, refuse
from visionkit.text.batches import teacher_forced
from visionkit.text.tokenizers import Tokenizer
from visionkit.types import Stride


class TokenReader(nn.Module):
    """A sequence decoder writes token by token while it looks at the map.

    Args:
        decoder: called as ``decoder(channels=, strides=, spatial_dims=, vocabulary=)``; a SequenceDecoder that also
            says by ``memory(features, valid)`` what of a map it reads.
        search: ``(decoder, memory, valid, start=, end=) -> Decoded``.
        channels, stride, tokenizer, right_to_left: of the map and of the text; the decoder finds its way in any
            direction.
        smoothing: of the labels, 0..1.
        guidance: called as ``guidance(channels=, vocabulary=)``; a further loss ``(map, ids from left to right, valid
            of the map) -> scalar``, or None. With CTC the map learns letters before the decoder knows where to look
            (Barrere et al. 2022, "A light transformer-based architecture for handwritten text recognition").
        weight, guidance_weight: of the two terms; the guidance takes part in training alone.

    Raises ConfigError C182 for a search over columns.
    """

    def __init__(
        self,
        decoder: Callable[..., Any],
        search: Callable[..., Decoded],
        channels: int,
        stride: Stride,
        tokenizer: Tokenizer,
        right_to_left: bool = False,
        smoothing: float = 0.0,
        guidance: Callable[..., nn.Module] | None = None,
        weight: float = 1.0,
        guidance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        refuse(search, "logits", "tokens", "generation=greedy, beam, diverse_beam or speculative")
        shape = {"channels": [channels], "strides": [stride], "spatial_dims": 2}
        self.decoder, self.stride = decoder(**shape, vocabulary=tokenizer.size), stride
        self.guidance = None if guidance is None else guidance(channels=channels, vocabulary=tokenizer.size)
        self.search, self.tokenizer, self.smoothing = search, tokenizer, smoothing
        self.right_to_left, self.weight, self.guidance_weight = right_to_left, weight, guidance_weight

    def forward(self, line: Line) -> Line:
        """The map itself: what comes after it depends on how many tokens there are."""
        return line

    def loss(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"], keys: Sequence[str]
    ) -> dict[str, Float[Tensor, ""]]:
        """``tokens``: cross-entropy of every token given those before it, the end among them; ``guidance`` in training
        where there is one.
        """
        inputs, targets = (part.to(line.device) for part in teacher_forced(ids, self.tokenizer))
        logits, _ = self.decoder.step(inputs, self.decoder.start(*self.decoder.memory([line], valid)))
        terms = {"tokens": self.weight * token_cross_entropy(logits, targets, self.smoothing)}
        if self.guidance is not None and self.training:
            cells = valid_cells(valid, line.shape[2:], self.stride)
            terms["guidance"] = self.guidance_weight * self.guidance(line, as_seen(ids, self.right_to_left), cells)
        return terms

    def decide(self, outputs: Line, valid: Bool[Tensor, "b h w"]) -> Decoded:
        """The tokens that the procedure finds."""
        memory, real = self.decoder.memory([outputs], valid)
        return self.search(self.decoder, memory, real, start=self.tokenizer.start, end=self.tokenizer.end)

    def attention(
        self, line: Line, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, "b t w"] | None:
        """How much the decoder looks at each column of pixels for each token; None where it cannot tell.

        Rows with fewer tokens are filled up with NaN.
        """
        if not hasattr(self.decoder, "attention"):
            return None
        memory, real = self.decoder.memory([line], valid)
        inputs = teacher_forced(ids, self.tokenizer)[0].to(line.device)
        shares = self.decoder.attention(memory, inputs, real)[:, :-1].float()
        step, of_map = per_axis(self.decoder.stride, 2)[1], per_axis(self.stride, 2)[1]
        columns = shares.unflatten(2, (-1, -(-line.shape[3] * of_map // step))).sum(2)
        pixels = columns.repeat_interleave(step, 2)[..., : valid.shape[2]] / step
        for row, own in zip(pixels, ids, strict=True):
            row[len(own) :] = torch.nan
        return pixels

    def unalignable(self, ids: Sequence[Sequence[int]], valid: Bool[Tensor, "b h w"]) -> list[int]:
        """None: a sequence may be as long as it wants."""
        return []

    def metrics(self) -> list[Metric]:
        """None."""
        return []
