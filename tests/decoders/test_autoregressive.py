"""The transformer decoder: with its cache, without it, and against torch's own."""

from functools import partial

import pytest
import torch
from tiny_decoders import tiny_decoder, tiny_memory
from torch import nn

from visionkit.decoders.autoregressive import TransformerDecoder
from visionkit.errors import ConfigError
from visionkit.layers.positions import LearnedPositions

WAYS = [{}, {"pre_norm": False}, {"tied": True}, {"positions": partial(LearnedPositions, longest=80)}]


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cached_is_uncached(options, dtype):
    decoder, (memory, valid) = tiny_decoder(**options).to(dtype), tiny_memory()
    memory, tokens = memory.to(dtype), torch.randint(5, (3, 75), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.stack([decoder(memory, tokens[:, : n + 1], valid)[:, -1] for n in range(75)], 1)
        for sizes in ([75], [1] * 75, [3, 1, 40, 20, 1, 10], [1, 74]):  # 75 is more than a cache has room for at first
            state, outputs = decoder.start(memory, valid), []
            for part in tokens.split(sizes, 1):
                logits, state = decoder.step(part, state)
                outputs.append(logits)
            torch.testing.assert_close(torch.cat(outputs, 1), expected, rtol=0, atol=1e-5)
            assert state.lengths.tolist() == [75] * 3


def test_rows_of_different_lengths():
    decoder, (memory, valid) = tiny_decoder(1), tiny_memory(1)
    tokens = torch.randint(5, (3, 90), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = decoder(memory, tokens, valid)
        generator = torch.Generator().manual_seed(1)
        state, lengths = decoder.start(memory, valid), torch.zeros(3, dtype=torch.int64)
        while int(lengths.max()) < 85:
            part = torch.stack([row[length : length + 5] for row, length in zip(tokens, lengths.tolist(), strict=True)])
            logits, state = decoder.step(part, state)
            for row, length in enumerate(lengths.tolist()):
                torch.testing.assert_close(logits[row], expected[row, length : length + 5])
            lengths = lengths + torch.randint(1, 6, (3,), generator=generator)
            state = state.rewind(lengths)
            assert state.lengths.tolist() == lengths.tolist()
        assert len(set(lengths.tolist())) > 1


def test_selected_rows_go_on_by_themselves():
    decoder, (memory, valid) = tiny_decoder(2), tiny_memory(2)
    tokens = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([2, 0, 2, 2])
    more = torch.randint(5, (4, 3), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        _, state = decoder.step(tokens, decoder.start(memory, valid))
        logits, _ = decoder.step(more, state.rewind(torch.tensor([6, 1, 4])).select(rows))
        for row, (source, length) in enumerate(((2, 4), (0, 6), (2, 4), (2, 4))):
            whole = torch.cat([tokens[source, :length], more[row]])[None]
            expected = decoder(memory[source : source + 1], whole, valid[source : source + 1])
            torch.testing.assert_close(logits[row], expected[0, -3:])


def test_selecting_every_row_copies_nothing_and_a_beam_shares_its_memory():
    decoder, (memory, valid) = tiny_decoder(), tiny_memory()
    _, state = decoder.step(torch.zeros(3, 2, dtype=torch.int64), decoder.start(memory, valid))
    assert state.select(torch.arange(3)) is state
    beams = state.select(torch.tensor([0, 0, 1, 1, 2, 2]))
    assert beams.select(torch.tensor([1, 0, 2, 2, 3, 3])).memory is not beams.memory
    assert beams.select(torch.tensor([1, 0, 2, 2, 5, 5])).memory is beams.memory


@pytest.mark.parametrize("pre_norm", [True, False])
def test_same_as_torch(pre_norm):
    decoder, (memory, valid) = tiny_decoder(pre_norm=pre_norm), tiny_memory()
    layer = nn.TransformerDecoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=pre_norm).double().eval()
    tokens = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(0))
    positions = torch.zeros(6, 8)
    for n in range(6):
        for i in range(4):
            angle = n / 10000 ** (2 * i / 8)
            positions[n, 2 * i], positions[n, 2 * i + 1] = torch.tensor(angle).sin(), torch.tensor(angle).cos()
    x = decoder.embed(tokens) * 8**0.5 + positions
    for ours in decoder.layers:
        layer.self_attn.load_state_dict(_attention(ours.own.qkv, ours.own.proj))
        read = nn.Linear(8, 24).double()
        read.weight = nn.Parameter(torch.cat([ours.read.q.weight, ours.read.kv.weight]))
        read.bias = nn.Parameter(torch.cat([ours.read.q.bias, ours.read.kv.bias]))
        layer.multihead_attn.load_state_dict(_attention(read, ours.read.proj))
        layer.linear1.load_state_dict(ours.mlp[0].state_dict())
        layer.linear2.load_state_dict(ours.mlp[3].state_dict())
        for norm, wrap in zip((layer.norm1, layer.norm2, layer.norm3), ours.wraps, strict=True):
            norm.load_state_dict(wrap.norm.state_dict())
        future = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
        x = layer(x, memory, tgt_mask=future, memory_key_padding_mask=~valid)
    expected = decoder.head(decoder.norm(x))
    torch.testing.assert_close(decoder(memory, tokens, valid), expected, rtol=1e-6, atol=1e-6)


def _attention(qkv, proj):
    return {
        "in_proj_weight": qkv.weight,
        "in_proj_bias": qkv.bias,
        "out_proj.weight": proj.weight,
        "out_proj.bias": proj.bias,
    }


@pytest.mark.parametrize("options", WAYS)
def test_the_future_is_not_seen_and_every_parameter_learns(options):
    torch.manual_seed(0)
    decoder = TransformerDecoder((3, 5), (4, 8), vocabulary=7, width=8, heads=2, depth=2, dropout=0.0, **options)
    features = [torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 3)]
    tokens = torch.randint(7, (2, 5))
    memory, valid = decoder.memory(features, torch.ones(2, 15, 21, dtype=torch.bool))
    assert memory.shape == (2, 6, 8)
    assert valid.all()
    logits = decoder(memory, tokens, valid)
    changed = tokens.clone()
    changed[:, 3:] = (tokens[:, 3:] + 1) % 7
    torch.testing.assert_close(decoder(memory, changed, valid)[:, :3], logits[:, :3])
    logits.square().sum().backward()
    without = [name for name, parameter in decoder.named_parameters() if parameter.grad is None]
    assert without == []


def test_gradients_step_by_step_are_those_of_one_step():
    decoder, (memory, valid) = tiny_decoder(4), tiny_memory(4)
    tokens = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(0))
    gradients = []
    for sizes in ([6], [1] * 6, [2, 1, 3]):
        state, total = decoder.start(memory, valid), 0
        for part in tokens.split(sizes, 1):
            logits, state = decoder.step(part, state)
            total = total + logits.square().sum()
        gradients.append(torch.autograd.grad(total, list(decoder.layers.parameters())))
    torch.testing.assert_close(gradients[1], gradients[0])
    torch.testing.assert_close(gradients[2], gradients[0])


def test_padding_is_not_read():
    torch.manual_seed(0)
    decoder = TransformerDecoder((3,), (4,), vocabulary=7, width=8, heads=2, depth=1).eval()
    features, tokens = [torch.randn(2, 3, 4, 6)], torch.randint(7, (2, 5))
    valid = torch.ones(2, 16, 24, dtype=torch.bool)
    valid[1, :, 9:] = False  # three of six columns of cells are left
    memory, cells = decoder.memory(features, valid)
    assert cells[1].view(4, 6).sum(1).tolist() == [3] * 4
    logits = decoder(memory, tokens, cells)
    features[0][1, :, :, 3:] = 99
    other, _ = decoder.memory(features, valid)
    assert not torch.equal(other, memory)
    torch.testing.assert_close(decoder(other, tokens, cells), logits)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_attention_is_what_the_last_layer_reads(pre_norm):
    decoder, (memory, valid) = tiny_decoder(3, pre_norm=pre_norm, depth=1), tiny_memory(3)
    tokens = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(0))
    weights = decoder.attention(memory, tokens, valid)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 6, dtype=torch.float64))
    assert (weights[-1, :, 2:] == 0).all()
    # With one head, what is read is the mean of the values by these weights.
    decoder = tiny_decoder(3, pre_norm=pre_norm, depth=1, heads=1)
    weights, kept = decoder.attention(memory, tokens, valid), {}
    hook = decoder.layers[0].read.register_forward_hook(lambda module, given, output: kept.update(output=output))
    decoder(memory, tokens, valid)
    hook.remove()
    read = decoder.layers[0].read
    torch.testing.assert_close(kept["output"], read.proj(weights @ read.keys_values(memory)[1][:, 0]))


def test_volumes_and_an_absent_stride():
    decoder = TransformerDecoder((3,), ((2, 4, 4),), spatial_dims=3, vocabulary=7, width=12, heads=2, depth=1)
    memory, valid = decoder.memory([torch.randn(2, 3, 2, 3, 2)])
    assert memory.shape == (2, 12, 12)
    assert valid.all()
    decoder = TransformerDecoder((3,), (4,), vocabulary=7, stride=(8, 4), width=12, heads=2, depth=1)
    assert decoder.memory([torch.randn(2, 3, 4, 6)])[0].shape == (2, 12, 12)


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match=r"C170.*decoder\.heads"):
        tiny_decoder(heads=3)
    decoder, (memory, valid) = tiny_decoder(positions=partial(LearnedPositions, longest=4)), tiny_memory()
    decoder(memory, torch.zeros(3, 4, dtype=torch.int64), valid)
    with pytest.raises(ConfigError, match=r"C171.*decoder\.positions\.longest.*search\.max_length"):
        decoder(memory, torch.zeros(3, 5, dtype=torch.int64), valid)
