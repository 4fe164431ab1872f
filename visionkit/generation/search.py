"""Hypotheses of beam search, and how a step turns them into longer ones."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visionkit.generation.constraints import Constraint
from visionkit.generation.result import Decoded, trimmed
from visionkit.generation.scores import next_log_probs
from visionkit.types import DecodingState, SequenceDecoder


@dataclass
class Beams:
    """Hypotheses of ``b`` memories in ``g`` groups of ``w``; those with a log-probability of -inf are none yet.

    Attributes:
        tokens: ids (the end among them), rows filled up with -1.
        log_probs: of each token among those that could stand there.
        log_prob: of the whole so far; a score where the decoder's logits are scores.
        lengths: tokens so far, the end among them.
        ended: whether the end was reached.
    """

    tokens: Int64[Tensor, "b g w t"]
    log_probs: Float[Tensor, "b g w t"]
    log_prob: Float[Tensor, "b g w"]
    lengths: Int64[Tensor, "b g w"]
    ended: Bool[Tensor, "b g w"]

    @classmethod
    def begin(cls, count: int, groups: int, width: int, like: Float[Tensor, "..."]) -> "Beams":
        """One empty hypothesis in each group."""
        shape, device = (count, groups, width), like.device
        log_prob = like.new_full(shape, -torch.inf)
        log_prob[..., 0] = 0
        empty = torch.empty(*shape, 0, dtype=torch.int64, device=device)
        lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        return cls(empty, like.new_empty(*shape, 0), log_prob, lengths, lengths > 0)

    def select(self, rows: Int64[Tensor, "r"]) -> "Beams":
        """The hypotheses of these memories."""
        parts = (self.tokens, self.log_probs, self.log_prob, self.lengths, self.ended)
        return Beams(*(part.index_select(0, rows) for part in parts))

    def distinct(self) -> "Beams":
        """Without hypotheses that an earlier group holds, too; within a group all differ."""
        if self.log_prob.shape[1] == 1:
            return self
        tokens, some = self.tokens.flatten(1, 2), (self.log_prob != -torch.inf).flatten(1)
        same = [((tokens[:, :n] == tokens[:, n, None]).all(2) & some[:, :n]).any(1) for n in range(some.shape[1])]
        again = torch.stack(same, 1).view(self.log_prob.shape)
        return replace(self, log_prob=self.log_prob.masked_fill(again, -torch.inf))

    def score(self, penalty: float) -> Float[Tensor, "b g w"]:
        """Log-probability over length to the power of ``penalty``."""
        return _normalised(self.log_prob, self.lengths, penalty)

    def decided(self, penalty: float, max_length: int) -> Bool[Tensor, "b"]:
        """Whether nothing that still grows could become better than the best that has ended."""
        scores, going = self.score(penalty), ~self.ended & (self.log_prob > -torch.inf)
        reachable = self.log_prob / max_length**penalty
        best = scores.masked_fill(~self.ended, -torch.inf).flatten(1).amax(1)
        return best >= reachable.masked_fill(~going, -torch.inf).flatten(1).amax(1)


class Search:
    """The decoder's state, with a row for each hypothesis, and how a step turns hypotheses into longer ones."""

    def __init__(
        self,
        decoder: SequenceDecoder,
        constraint: Constraint,
        end: int,
        temperature: float,
        normalised: bool,
        penalty: float,
        diversity: float,
    ) -> None:
        self.decoder, self.constraint = decoder, constraint
        self.end, self.penalty, self.diversity = end, penalty, diversity
        self.temperature, self.normalised = temperature, normalised
        self.state: DecodingState
        self.rule: Tensor
        self.last: Tensor

    def begin(self, memory: Tensor, valid: Tensor | None, start: int, width: int) -> None:
        """A row for each memory at first: the hypotheses of a memory are equal until a token sets them apart."""
        self.width = width
        self.state = self.decoder.start(memory, valid)
        self.rule = self.constraint.start(len(memory), memory.device)
        self.last = torch.full((len(memory),), start, dtype=torch.int64, device=memory.device)

    def step(self, beams: Beams) -> Beams:
        """Every hypothesis grows by a token, or stays where it has ended."""
        logits, self.state = self.decoder.step(self.last[:, None], self.state)
        allowed = self.constraint(self.rule)
        step = next_log_probs(logits[:, 0], allowed, self.temperature, self.end, self.normalised)
        count, groups, width = beams.log_prob.shape
        rows = torch.arange(len(step), device=step.device).view(count, -1).expand(count, groups * width)
        step = step[rows].view(count, groups, width, -1)
        parents, tokens, totals = self._chosen(beams, step)
        shares = step if self.normalised else step.log_softmax(-1)
        grown = _grown(beams, shares, parents, tokens, totals, self.end)
        offsets = torch.arange(groups, device=step.device)[:, None] * width
        self._follow(rows.gather(1, (parents + offsets).flatten(1)).flatten(), tokens.flatten())
        return grown

    def _chosen(self, beams: Beams, step: Float[Tensor, "b g w v"]) -> tuple[Tensor, Tensor, Tensor]:
        """For each new hypothesis its parent within the group, its token and its log-probability.

        Ended ones take the end again. Where there are too few, what is impossible fills the places, at -inf.
        """
        count, groups, width, vocabulary = step.shape
        used = step.new_zeros(count, vocabulary)
        parents, tokens, totals = [], [], []
        for group in range(groups):
            ended, log_prob = beams.ended[:, group], beams.log_prob[:, group]
            total = (log_prob[..., None] + step[:, group]).masked_fill(ended[..., None], -torch.inf)
            total[..., self.end] = torch.where(ended, log_prob, total[..., self.end])
            lengths = beams.lengths[:, group] + (~ended).long()
            augmented = total - self.diversity * used[:, None] * (~ended)[..., None]
            scores = _normalised(augmented, lengths[..., None], self.penalty)
            best = scores.flatten(1).topk(width, dim=1).indices
            parent, token = best // vocabulary, best % vocabulary
            reached = total.flatten(1).gather(1, best)
            grows = ~ended.gather(1, parent) & (reached > -torch.inf)
            used = used.scatter_add(1, token, grows.to(used.dtype))
            parents.append(parent)
            tokens.append(token)
            totals.append(reached)
        return torch.stack(parents, 1), torch.stack(tokens, 1), torch.stack(totals, 1)

    def _follow(self, rows: Int64[Tensor, "r"], tokens: Int64[Tensor, "r"]) -> None:
        self.rule = self.constraint.advance(self.rule[rows], tokens)
        self.state, self.last = self.state.select(rows), tokens

    def keep(self, memories: Int64[Tensor, "r"]) -> None:
        """Forgets the hypotheses of all other memories."""
        rows = (memories[:, None] * self.width + torch.arange(self.width, device=memories.device)).flatten()
        self.state, self.rule, self.last = self.state.select(rows), self.rule[rows], self.last[rows]


def _normalised(log_prob: Tensor, lengths: Tensor, penalty: float) -> Tensor:
    return log_prob if penalty == 0 else log_prob / lengths.clamp(min=1).to(log_prob.dtype) ** penalty


def _grown(beams: Beams, step: Tensor, parents: Tensor, tokens: Tensor, totals: Tensor, end: int) -> Beams:
    """The hypotheses that were chosen."""
    ended, length = beams.ended.gather(2, parents), beams.tokens.shape[-1]
    log_prob = step.flatten(2).gather(2, parents * step.shape[3] + tokens)
    history = parents[..., None].expand(*parents.shape, length)
    new = tokens.masked_fill(ended, -1)
    return Beams(
        torch.cat([beams.tokens.gather(2, history), new[..., None]], 3),
        torch.cat([beams.log_probs.gather(2, history), log_prob.masked_fill(ended, torch.nan)[..., None]], 3),
        totals,
        beams.lengths.gather(2, parents) + (~ended).long(),
        ended | (new == end),
    )


def ranked(finished: list[tuple[Tensor, Beams]], rows: int, like: Tensor, penalty: float, count: int) -> list[Decoded]:
    """For each rank the hypotheses of all memories; what several groups found is given once."""
    steps = max((beams.tokens.shape[-1] for _, beams in finished), default=0)
    shape, device = (rows, count, steps), like.device
    tokens = torch.full(shape, -1, dtype=torch.int64, device=device)
    log_probs = like.new_full(shape, torch.nan)
    log_prob, ended = like.new_full(shape[:2], -torch.inf), torch.zeros(shape[:2], dtype=torch.bool, device=device)
    for numbers, beams in finished:
        beams = beams.distinct()
        best = beams.score(penalty).flatten(1).topk(count, dim=1).indices
        places = torch.arange(beams.tokens.shape[-1], device=device)
        without_end = (beams.lengths - beams.ended.long()).masked_fill(beams.log_prob == -torch.inf, 0)
        body = places < without_end[..., None]
        history = best[..., None].expand(*best.shape, body.shape[-1])
        part = (numbers[:, None], torch.arange(count, device=device), slice(0, body.shape[-1]))
        tokens[part] = beams.tokens.masked_fill(~body, -1).flatten(1, 2).gather(1, history)
        log_probs[part] = beams.log_probs.masked_fill(~body, torch.nan).flatten(1, 2).gather(1, history)
        written = places < beams.lengths[..., None]  # by place: a NaN of the decoder's must not be lost
        total = beams.log_probs.masked_fill(~written, 0).sum(-1)
        total = total.masked_fill(beams.log_prob == -torch.inf, -torch.inf)
        log_prob[numbers] = total.flatten(1).gather(1, best)
        ended[numbers] = beams.ended.flatten(1).gather(1, best)
    return [trimmed(tokens[:, n], log_probs[:, n], log_prob[:, n], ended[:, n]) for n in range(count)]
