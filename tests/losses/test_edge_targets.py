"""Targets from annotators, by hand."""

import torch

from visionkit.losses.edge_targets import agreement, consensus, soft

EDGES = torch.tensor([[1, 1, 0, 0, -1], [1, 0, 1, 0, -1], [1, 0, -1, 0, -1]], dtype=torch.int8)[:, None]
"""Three annotators of a picture of one row: all, one of three, one of the two who know, none, unknown."""


def test_share_is_of_those_who_know_the_place():
    torch.testing.assert_close(agreement(EDGES), torch.tensor([[1, 1 / 3, 1 / 2, 0, -1]]))


def test_annotators_that_a_batch_was_filled_with_change_nothing():
    filled = torch.cat([EDGES, torch.full_like(EDGES[:2], -1)])
    assert torch.equal(agreement(filled), agreement(EDGES))
    assert torch.equal(agreement(torch.stack([EDGES, EDGES])), agreement(EDGES).expand(2, 1, 5))


def test_one_annotator_gives_the_map_itself():
    assert torch.equal(agreement(EDGES[:1]), EDGES[0].float())


def test_rules():
    share = torch.tensor([[-1, 0, 0.1, 0.3, 0.5, 0.9, 1]])
    assert torch.equal(soft(share), torch.tensor([[-1, 0, 0.1, 1, 1, 1, 1]]))
    assert torch.equal(consensus(share), torch.tensor([[-1.0, 0, -1, -1, 1, 1, 1]]))
    assert torch.equal(consensus(share, ignore=False), torch.tensor([[-1.0, 0, 0, 0, 1, 1, 1]]))
    assert torch.equal(consensus(share, threshold=0.95), torch.tensor([[-1.0, 0, -1, -1, -1, -1, 1]]))
