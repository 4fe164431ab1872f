import pytest
import torch

from visionkit.encoders.edge_autoencoder import EdgeAutoencoderEncoder


def test_parameters_of_the_published_encoder():
    with torch.device("meta"):
        encoder = EdgeAutoencoderEncoder()
    assert sum(value.numel() for value in encoder.parameters()) == 22_348_934  # counted from the released code


@pytest.mark.parametrize(("multipliers", "stride"), [((1,), 1), ((1, 2), 2), ((1, 2, 4), 4)])
def test_one_map_at_its_stride(multipliers, stride):
    encoder = EdgeAutoencoderEncoder(8, multipliers, blocks=1, latent_channels=2)
    (moments,) = encoder(torch.rand(2, 1, 16, 24))
    assert encoder.channels == (4,)
    assert encoder.strides == (stride,)
    assert moments.shape == (2, 4, 16 // stride, 24 // stride)


def test_edge_maps_are_seen_between_minus_one_and_one():
    encoder = EdgeAutoencoderEncoder(8, (1,), blocks=1)
    seen = []
    encoder.layers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(torch.tensor([0.0, 0.5, 1.0, 1.0]).view(1, 1, 2, 2))
    assert seen[0].flatten().tolist() == [-1, 0, 1, 1]
