"""SVTRv2's semantic guidance: in training each character is also read from its neighbours in the text (Du et al. 2025,
arXiv 2411.15858, section 3.4; the decoder of SMTR, Du et al. 2024, arXiv 2407.12317)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.decoders.svtrv2 import heads_of
from visionkit.text.batches import filled_up
from visionkit.types import IGNORE_INDEX

_NOTHING = -1
"""In a context: before the first character, behind the last."""


class SemanticGuidance(nn.Module):
    """Asks the map for a character by the ``context`` characters before it, and by those after it.

    A question attends to its prompt (a free slot and the characters of the context), then to the map. What follows the
    last character, and what precedes the first, is the end token. In training every full context is asked a second
    time with one character replaced at random.

    Args:
        channels: of the map.
        vocabulary: ids of tokens, 0 being the end.
        context: characters of a prompt.
    """

    def __init__(self, channels: int, vocabulary: int, context: int = 5) -> None:
        super().__init__()
        self.context, self.vocabulary, self.scale = context, vocabulary, channels**0.5
        self.embed = nn.Embedding(vocabulary, channels)
        self.questions = nn.Parameter(torch.empty(2, channels))
        self.slots = nn.Parameter(torch.empty(2, context + 1, channels))
        self.ask = CrossAttention(channels, heads_of(channels))
        self.look = CrossAttention(channels, math.gcd(channels, 2))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.classify = nn.Linear(channels, vocabulary)
        nn.init.normal_(self.embed.weight, std=channels**-0.5)
        for learned in (self.questions, self.slots, self.classify.weight):
            nn.init.trunc_normal_(learned, std=0.02)
        nn.init.zeros_(self.classify.bias)

    def forward(
        self,
        line: Float[Tensor, "b c h w"],
        ids: Sequence[Sequence[int]],
        valid: Bool[Tensor, "b h w"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy over both directions; cells that are not ``valid`` are not looked at."""
        contexts, targets, direction = self._asked(filled_up(ids, _NOTHING).to(line.device))
        prompts = self.slots[direction].expand(len(contexts), -1, -1, -1)
        prompts = torch.cat([prompts[:, :, :1], prompts[:, :, 1:] + self.scale * self._embedded(contexts)], 2)
        known = F.pad(contexts != _NOTHING, (1, 0), value=True)
        questions = self.questions[direction].expand(len(contexts), -1, -1)
        asked = self.ask(questions.flatten(0, 1)[:, None], prompts.flatten(0, 1), known.flatten(0, 1))
        asked = questions + asked.view(questions.shape)
        seen = self.look(asked, line.flatten(2).transpose(1, 2), None if valid is None else valid.flatten(1))
        logits = self.classify(self.norm(seen)).flatten(0, 1)
        return F.cross_entropy(logits.float(), targets.flatten(), ignore_index=IGNORE_INDEX)

    def _embedded(self, contexts: Int64[Tensor, "b n l"]) -> Float[Tensor, "b n l c"]:
        return self.embed(contexts.clamp(min=0))

    def _asked(self, ids: Int64[Tensor, "b t"]) -> tuple[Int64[Tensor, "b n l"], Int64[Tensor, "b n"], Tensor]:
        """Contexts, the token that each asks for, and 0 or 1 for its direction."""
        contexts, targets = questions_of(ids, self.context)
        count = contexts.shape[1] // 2
        direction = torch.arange(2, device=ids.device).repeat_interleave(count)
        if not self.training:
            return contexts, targets, direction
        full = (contexts != _NOTHING).all(-1)
        place = torch.randint(self.context, full.shape, device=ids.device)[..., None]
        other = torch.randint(1, max(2, self.vocabulary), place.shape, device=ids.device)
        wrong = contexts.scatter(2, place, other.clamp(max=self.vocabulary - 1))
        again = targets.masked_fill(~full, IGNORE_INDEX)
        return torch.cat([contexts, wrong], 1), torch.cat([targets, again], 1), torch.cat([direction, direction])


def questions_of(ids: Int64[Tensor, "b t"], context: int) -> tuple[Int64[Tensor, "b n l"], Int64[Tensor, "b n"]]:
    """For each character and for the end the ``context`` characters before it; then the same from behind.

    Args:
        ids: rows filled up with -1.
        context: characters; -1 where the text has none.

    Returns contexts and targets; 0 for the end, IGNORE_INDEX beyond a text.
    """
    longest = ids.shape[1]
    windows = F.pad(ids, (context, context), value=_NOTHING).unfold(1, context, 1)
    before, after = windows[:, : longest + 1], windows[:, context : context + longest + 1]
    lengths = (ids != _NOTHING).sum(1, keepdim=True)
    following = F.pad(ids, (0, 1), value=_NOTHING)
    following = following.masked_fill(torch.arange(longest + 1, device=ids.device) == lengths, 0)
    preceding = F.pad(ids, (1, 0), value=0)
    targets = torch.cat([following, preceding], 1)
    return torch.cat([before, after], 1), targets.masked_fill(targets == _NOTHING, IGNORE_INDEX)


class CrossAttention(nn.Module):
    """Queries read keys and values from another sequence; both are normalised first."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q, self.norm_kv = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.q, self.kv = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(
        self,
        asking: Float[Tensor, "b n c"],
        asked: Float[Tensor, "b m c"],
        known: Bool[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n c"]:
        """What is read; places of ``asked`` that are not ``known`` are left out."""
        queries = self.q(self.norm_q(asking)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        keys, values = self.kv(self.norm_kv(asked)).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mask = None if known is None else known[:, None, None]
        read = F.scaled_dot_product_attention(queries, keys, values, mask)
        return self.proj(read.transpose(1, 2).flatten(2))
