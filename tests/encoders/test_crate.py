"""CRATE: sizes, the published parameters, each step against its formula, positions, released names."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from visionkit.encoders.crate import Crate, CrateClassifier, IstaStep, SubspaceAttention
from visionkit.errors import ConfigError


def tiny(**options) -> Crate:
    torch.manual_seed(0)
    return Crate(**{"width": 16, "depth": 4, "heads": 2, "grid": 3, **options})


@pytest.mark.parametrize("size", [(32, 32), (64, 96)], ids=str)
@torch.no_grad()
def test_maps_have_exactly_the_promised_size(size) -> None:
    encoder = tiny(in_chans=2).eval()
    expected = [(1, c, size[0] // s, size[1] // s) for c, s in zip((4, 8, 16, 16), (4, 8, 16, 32), strict=True)]
    assert [tuple(x.shape) for x in encoder(torch.rand(1, 2, *size))] == expected


@pytest.mark.parametrize(
    ("width", "heads", "parameters"), [(384, 6, 6_090_856), (576, 12, 13_116_328), (768, 12, 22_796_008)]
)
def test_the_classifier_has_the_parameters_of_the_authors_code(width: int, heads: int, parameters: int) -> None:
    with torch.device("meta"):
        classifier = CrateClassifier(Crate(width, heads=heads))
        assert classifier(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(x.numel() for x in classifier.parameters()) == parameters


def test_every_parameter_learns_in_mixed_precision_too() -> None:
    encoder = tiny()
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(torch.rand(2, 3, 64, 32))
    sum(x.float().square().mean() for x in maps).backward()
    assert [name for name, x in encoder.named_parameters() if x.grad is None or not x.grad.isfinite().all()] == []


def test_the_ista_step_descends_the_lasso() -> None:
    """Proximal gradient of ``|z - D a|^2 / 2 + 0.1 sum(a)`` over ``a >= 0``, taken at ``a = z``."""
    torch.manual_seed(0)
    step = IstaStep(7).double()
    z = torch.randn(2, 5, 7, dtype=torch.float64)
    code = z.clone().requires_grad_()
    ((z - code @ step.dictionary.mT) ** 2).sum().div(2).backward()
    expected = (z - 0.1 * (code.grad + 0.1)).clamp(min=0)
    torch.testing.assert_close(step(z), expected)
    assert (step(z) > 0).any()


def test_subspace_attention_is_attention_with_one_projection() -> None:
    torch.manual_seed(0)
    ours, reference = SubspaceAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(ours.subspaces.weight.repeat(3, 1))
        reference.in_proj_bias.zero_()
        reference.out_proj.load_state_dict(ours.proj.state_dict())
    tokens = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(tokens), reference(tokens, tokens, tokens)[0])


@torch.no_grad()
def test_patches_are_read_by_rows_with_channels_last() -> None:
    body = tiny().body
    image = torch.rand(1, 3, 32, 48)
    seen = []
    body.patch_norm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    body(image, [0])
    assert seen[0].shape == (1, 6, 768)
    torch.testing.assert_close(seen[0][0, 4], image[0, :, 16:32, 16:32].permute(1, 2, 0).flatten())


def test_released_weights_load_into_the_body(tmp_path) -> None:
    source = tiny().body.state_dict()
    names = {
        "patch_norm": "to_patch_embedding.1",
        "embed": "to_patch_embedding.2",
        "embed_norm": "to_patch_embedding.3",
        "pos_embed": "pos_embedding",
        "norm1": "0.norm",
        "attention.subspaces": "0.fn.qkv",
        "attention.proj": "0.fn.to_out.0",
        "norm2": "1.norm",
        "sparsify.dictionary": "1.fn.weight",
    }
    released = {"mlp_head.0.weight": torch.zeros(16)}
    for name, value in source.items():
        stem, _, rest = name.partition(".")
        if stem == "blocks":
            number, _, inner = rest.partition(".")
            own = next(old for old in names if inner == old or inner.startswith(f"{old}."))
            released[f"transformer.layers.{number}.{names[own]}{inner.removeprefix(own)}"] = value
        else:
            released[names.get(stem, stem) + (f".{rest}" if rest else "")] = value
    save_file(released, tmp_path / "crate.safetensors")
    torch.manual_seed(9)
    loaded = Crate(16, 4, 2, 3, weights=tmp_path / "crate.safetensors")
    assert all(torch.equal(loaded.body.state_dict()[name], value) for name, value in source.items())


def test_a_frozen_body_stays() -> None:
    encoder = tiny(freeze=True)
    sum(x.sum() for x in encoder(torch.rand(1, 3, 32, 32))).backward()
    assert {name.split(".")[0] for name, x in encoder.named_parameters() if x.grad is not None} == {"pyramid"}


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"heads": 0}, {"depth": 3}, {"grid": 0}], ids=str)
def test_what_makes_no_network_is_named(wrong) -> None:
    with pytest.raises(ConfigError, match=f"C92.*encoder.{next(iter(wrong))}"):
        tiny(**wrong)


def test_weights_of_another_network_do_not_fit(tmp_path) -> None:
    save_file(nn.Linear(2, 3).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="C25"):
        tiny(weights=tmp_path / "other.safetensors")
