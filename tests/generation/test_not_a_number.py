"""A decoder that says NaN is not sure of anything: no confidence may hide it."""

from functools import partial

import pytest
import torch
from tiny_decoders import END, START, tiny_decoder, tiny_memory

from visionkit.generation.beam import beam, diverse
from visionkit.generation.greedy import greedy
from visionkit.generation.speculative import speculative

SEARCHES = {
    "greedy": greedy,
    "beam": beam,
    "beam by means": partial(beam, length_penalty=1.0),
    "diverse": diverse,
    "speculative": speculative,
}


class Broken:
    """A decoder all of whose logits are NaN."""

    def __init__(self, decoder):
        self.decoder, self.vocabulary, self.start = decoder, decoder.vocabulary, decoder.start

    def step(self, tokens, state):
        logits, state = self.decoder.step(tokens, state)
        return logits * torch.nan, state


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_logits_that_are_no_numbers_give_no_confidence(search):
    found = search(Broken(tiny_decoder()), *tiny_memory(), start=START, end=END, max_length=5)
    assert found.log_prob.isnan().all()
    assert found.confidence.isnan().all()


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@torch.no_grad()
def test_the_other_rows_are_as_sure_as_before(search):
    decoder, (memory, valid) = tiny_decoder(3), tiny_memory(3)
    whole = search(decoder, memory, valid, start=START, end=END, max_length=9)
    memory[1] = torch.nan
    found = search(decoder, memory, valid, start=START, end=END, max_length=9)
    assert found.confidence.isnan().tolist() == [False, True, False]
    for row in (0, 2):
        assert found.rows()[row] == whole.rows()[row]
        torch.testing.assert_close(found.log_prob[row], whole.log_prob[row])
