from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from visionkit.datasets.collate import collate
from visionkit.encoders.line_blocks import LineBlocks
from visionkit.encoders.timm import TimmEncoder
from visionkit.errors import ConfigError
from visionkit.layers.padding import pad_to_multiple


class Patches(nn.Module):
    """Mean of each patch, and of twice its size: what comes out can be foretold. Remembers what it saw."""

    channels, strides, in_chans, spatial_dims = (1, 1), (4, 8), 1, 2

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        self.seen = image
        return [F.avg_pool2d(image, step) for step in self.strides]


def blocks(**options) -> LineBlocks:
    return LineBlocks(Patches(), **{"height": 16, "row_px": 32, "rows": 3, **options})


def test_the_body_sees_rows_and_paper() -> None:
    encoder, line = blocks(), torch.rand(2, 1, 16, 40)
    maps = encoder(line)
    seen = encoder.body.seen.numpy()
    assert seen.shape == (2, 1, 48, 32)
    assert np.array_equal(seen[:, :, :16], line.numpy()[..., :32])
    assert np.array_equal(seen[:, :, 16:32, :8], line.numpy()[..., 32:])
    assert (seen[:, :, 16:32, 8:] == line.numpy()[..., -1:]).all()
    assert (seen[:, :, 32:] == line.numpy()[..., -1:]).all()
    for found, step in zip(maps, (4, 8), strict=True):
        torch.testing.assert_close(found, F.avg_pool2d(line, step))


@pytest.mark.parametrize("right_to_left", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (16, 96), (16, 4000), (8, 8), (40, 24), (160, 8)], ids=str)
def test_maps_are_the_image_over_the_strides(size: tuple[int, int], right_to_left: bool) -> None:
    maps = blocks(right_to_left=right_to_left)(torch.rand(2, 1, *size))
    assert [tuple(found.shape[2:]) for found in maps] == [(size[0] // step, size[1] // step) for step in (4, 8)]


def test_long_lines_are_compressed_along_the_line_alone() -> None:
    encoder, line = blocks(), torch.linspace(0, 1, 192).expand(1, 1, 16, 192)
    found = encoder(line)[0]
    assert encoder.body.seen.shape == (1, 1, 48, 32)
    torch.testing.assert_close(found, F.avg_pool2d(line, 4), atol=0.02, rtol=0)


def test_lines_of_another_height_keep_their_proportions() -> None:
    encoder = blocks()
    encoder(torch.cat([torch.zeros(1, 1, 32, 64), torch.ones(1, 1, 32, 64)], 3))
    assert encoder.body.seen[0, 0, 0, :30].max() < 0.1  # 128 px become 64: two rows, the first of them dark
    assert encoder.body.seen[0, 0, 16, 2:].min() > 0.9


def test_lines_from_the_right_are_seen_from_there_and_given_back_in_place() -> None:
    encoder, line = blocks(right_to_left=True), torch.rand(1, 1, 16, 40)
    found = encoder(line)[0]
    assert np.array_equal(encoder.body.seen.numpy()[0, 0, :16], line.numpy()[0, 0, :, ::-1][:, :32])
    torch.testing.assert_close(found, F.avg_pool2d(line, 4))


@pytest.mark.parametrize("right_to_left", [False, True])
@torch.no_grad()
def test_the_batch_does_not_change_a_line(right_to_left: bool) -> None:
    encoder = blocks(right_to_left=right_to_left)
    lines = [torch.randint(256, (1, 16, width), dtype=torch.uint8) for width in (21, 70)]
    batch = collate([{"key": str(n), "image": line, "text": ""} for n, line in enumerate(lines)])
    encoder(pad_to_multiple(batch["image"] / 255, 8))
    together = encoder.body.seen
    for row, line in enumerate(lines):
        encoder(pad_to_multiple(line[None] / 255, 8))
        assert torch.equal(encoder.body.seen[0], together[row])


def test_weights_of_a_trained_network(tmp_path: Path) -> None:
    def made(**options) -> LineBlocks:
        body = TimmEncoder("test_vit", in_chans=1, pyramid=False)
        return LineBlocks(body, **options)

    first = made()
    save_file({f"encoder.{name}": value for name, value in first.state_dict().items()}, tmp_path / "w.safetensors")
    again = made(weights=tmp_path / "w.safetensors").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize("options", [{"height": 20}, {"row_px": 30}, {"height": 4}, {"rows": 0}], ids=str)
def test_rows_that_are_no_whole_cells_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        blocks(**options)
    assert caught.value.code == "C180"
