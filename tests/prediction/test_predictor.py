"""Pictures of every kind give what the network gives, at their own size, and are written where they belong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import ALLOW, CLASSES, ENCODER, PREPROCESSING, TASK, tiny_network

import visionkit
from visionkit.bundle import folder as bundle
from visionkit.errors import ConfigError, DataError, VisionkitError
from visionkit.labels import Classes, Edges, Objects
from visionkit.prediction.items import RESULTS, files_in
from visionkit.prediction.outputs import KINDS, linear, nearest_pixel, write_density, write_edges, write_mask
from visionkit.prediction.predictor import Predictor, save_all
from visionkit.types import Prediction


def save(folder: Path, in_chans: int = 3, **preprocessing: Any) -> Path:
    return bundle.save(
        tiny_network(in_chans=in_chans),
        folder,
        encoder_cfg=ENCODER | {"in_chans": in_chans},
        tasks_cfg={"segmentation": TASK},
        labels={"mask": CLASSES},
        preprocessing=PREPROCESSING | {"channels": in_chans} | preprocessing,
        metrics={},
    )


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return visionkit.load(save(tmp_path / "model"), allow=ALLOW, device="cpu")


def picture(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    sizes = {"a": (20, 30), "b": (20, 30), "c": (17, 9), "deep/d": (20, 30)}
    for seed, (name, size) in enumerate(sizes.items()):
        Image.fromarray(picture(*size, seed)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def expected(array: np.ndarray) -> dict[str, torch.Tensor]:
    """The network as it is trained: bytes, channels last."""
    image = torch.from_numpy(array).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    network = tiny_network().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return {key: value[0] for key, value in network.predict({"image": image})["segmentation"].items()}


def test_every_kind_of_picture_gives_the_same_bits(predictor: Predictor, tmp_path: Path) -> None:
    array = picture(21, 34)
    Image.fromarray(array).save(tmp_path / "x.png")
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    want = expected(array)
    kinds = [array, tensor, tensor[None], tensor.float() / 255, Image.fromarray(array), tmp_path / "x.png"]
    for images in [*kinds, str(tmp_path / "x.png"), [tmp_path / "x.png"], tuple(kinds[:1])]:
        (result,) = predictor.predict(images)
        for key, value in want.items():
            assert torch.equal(result.predictions["segmentation"][key], value), type(images)
        assert not result.predictions["segmentation"]["mask"].is_inference()
        assert np.array_equal(result.image.permute(1, 2, 0).numpy(), array)


def test_a_folder_gives_a_result_for_each_picture(predictor: Predictor, images: Path) -> None:
    results = predictor.predict(images)
    assert [result.key for result in results] == ["a", "b", "c", "deep/d"]
    assert [result.path for result in results] == [str(images / f"{result.key}.png") for result in results]
    for seed, result in enumerate(results):
        height, width = result.image.shape[1:]
        want = expected(picture(height, width, seed))
        assert torch.equal(result.predictions["segmentation"]["mask"], want["mask"])


def test_batches_of_one_size_change_nothing_but_the_last_bits(predictor: Predictor, images: Path) -> None:
    alone, together = predictor.predict(images), predictor.predict(images, batch_size=5)
    assert [result.key for result in together] == ["a", "b", "c", "deep/d"]
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(
            one.predictions["segmentation"]["confidence"], other.predictions["segmentation"]["confidence"]
        )


def test_batches_hold_pictures_of_one_size_only(predictor: Predictor, images: Path) -> None:
    seen = []
    predict = predictor.network.predict
    predictor.network.predict = lambda batch, names: seen.append(batch["key"]) or predict(batch, names)  # type: ignore[method-assign]
    predictor.predict(images, batch_size=5)
    assert seen == [["a", "b"], ["c"], ["deep/d"]]


def test_a_fixed_size_is_undone_by_the_nearest_pixel(tmp_path: Path) -> None:
    predictor = Predictor.load(save(tmp_path / "model", size=[8, 12]), "cpu", ALLOW)
    array = picture(8, 12).repeat(3, 0).repeat(2, 1)  # shrinking it by areas gives the small one back
    (result,) = predictor.predict(array)
    want = expected(picture(8, 12))["mask"].repeat_interleave(3, 0).repeat_interleave(2, 1)
    assert torch.equal(result.predictions["segmentation"]["mask"], want)
    assert result.predictions["segmentation"]["confidence"].shape == (24, 24)
    assert result.image.shape == (3, 24, 24)
    assert result.draw().shape == (24, 24, 3)


@pytest.mark.parametrize(("before", "after"), [((2, 3), (5, 7)), ((9, 7), (4, 3)), ((1, 1), (3, 2)), ((4, 4), (4, 4))])
def test_nearest_pixel_is_the_one_under_the_centre(before: tuple[int, int], after: tuple[int, int]) -> None:
    value = torch.arange(before[0] * before[1]).reshape(before)
    got = nearest_pixel(value, after)
    for row in range(after[0]):
        for column in range(after[1]):
            under = [int((i + 0.5) * old / new) for i, old, new in zip((row, column), before, after, strict=True)]
            assert got[row, column] == value[under[0], under[1]]


def test_grey_and_colour_are_made_what_the_network_wants(predictor: Predictor, tmp_path: Path) -> None:
    grey = picture(10, 11, channels=1)
    (one,) = predictor.predict(grey)
    (three,) = predictor.predict(grey.repeat(3, 2))
    (flat,) = predictor.predict(grey[..., 0])
    mask = one.predictions["segmentation"]["mask"]
    assert torch.equal(mask, three.predictions["segmentation"]["mask"])
    assert torch.equal(mask, flat.predictions["segmentation"]["mask"])
    of_grey = Predictor.load(save(tmp_path / "grey", in_chans=1), "cpu", ALLOW)
    color = picture(10, 11)
    Image.fromarray(color).save(tmp_path / "x.png")
    results = of_grey.predict(
        [tmp_path / "x.png", color, Image.fromarray(color), torch.from_numpy(color).movedim(2, 0)]
    )
    assert [result.image.shape for result in results] == [(1, 10, 11)] * 4
    assert all(torch.equal(result.image, results[0].image) for result in results)


BAD = [
    (np.zeros((4, 4, 3), np.float32), "D42"),
    (np.zeros(4, np.uint8), "D42"),
    (np.zeros((4, 4, 5), np.uint8), "D44"),
    (np.zeros((0, 4, 3), np.uint8), "D44"),
    (torch.zeros(4, 4, dtype=torch.uint8), "D42"),
    (torch.full((3, 4, 4), 1.5), "D43"),
    (torch.full((3, 4, 4), float("nan")), "D43"),
    (torch.zeros(3, 4, 4, dtype=torch.int64), "D43"),
    (3, "D42"),
    (None, "D42"),
]


@pytest.mark.parametrize(("images", "code"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_is_no_picture_is_named(predictor: Predictor, images: Any, code: str) -> None:
    with pytest.raises(DataError) as caught:
        predictor.predict(images)
    assert caught.value.code == code


def test_nothing_to_predict_is_said(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, code in [(tmp_path / "empty", "D41"), (tmp_path / "none.png", "D40")]:
        with pytest.raises(DataError) as caught:
            predictor.predict(place)
        assert caught.value.code == code
    assert predictor.predict([]) == []


def test_a_bad_picture_does_not_take_the_others_with_it(predictor: Predictor, images: Path) -> None:
    (images / "b.png").write_bytes((images / "b.png").read_bytes()[:50])
    with pytest.raises(DataError, match=r"b\.png"):
        predictor.predict(images)
    errors: list[VisionkitError] = []
    results = predictor.predict(images, errors=errors)
    assert [result.key for result in results] == ["a", "c", "deep/d"]
    assert [error.place for error in errors] == [str(images / "b.png")]


def test_keys_are_unique(predictor: Predictor, images: Path) -> None:
    Image.fromarray(picture(5, 5)).save(images / "a.bmp")
    keys = [result.key for result in predictor.predict([images, images / "a.png", images / "deep" / ".." / "c.png"])]
    assert keys == ["a.bmp", "a.png", "b.png", "c.png", "deep/d.png"]


def test_tasks_can_be_chosen(predictor: Predictor) -> None:
    (result,) = predictor.predict(picture(5, 5), tasks=["segmentation"])
    assert list(result.predictions) == ["segmentation"]
    with pytest.raises(ConfigError, match=r"C70.*did you mean segmentation"):
        predictor.predict(picture(5, 5), tasks=["segmentatoin"])


@pytest.mark.parametrize("device", ["cuda:9", "gpu", "cpu:x"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match="C71"):
        Predictor.load(save(tmp_path / "model"), device, ALLOW)


def test_results_are_written(predictor: Predictor, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert save_all(predictor.stream(images), out) == 4
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["key"] for line in lines] == ["a", "b", "c", "deep/d"]
    for line, result in zip(lines, predictor.predict(images), strict=True):
        entry, prediction = line["tasks"]["segmentation"], result.predictions["segmentation"]
        mask = Image.open(out / entry["mask"])
        assert mask.mode == "P"
        assert np.array_equal(np.asarray(mask), prediction["mask"].numpy())
        assert mask.getpalette()[:9] == [value for color in CLASSES.colors for value in color]
        assert np.array_equal(np.asarray(Image.open(out / entry["overlay"])), result.draw())
        assert line["size"] == [*prediction["mask"].shape]
        shares = {name: float((prediction["mask"] == i).double().mean()) for i, name in enumerate(CLASSES.names)}
        assert entry["shares"] == pytest.approx({name: share for name, share in shares.items() if share})
        assert entry["confidence"] == pytest.approx(float(prediction["confidence"].mean()))


def test_many_classes_are_written_with_16_bits(tmp_path: Path) -> None:
    for count, mode, unknown in [(255, "P", 255), (256, "I;16", 65535)]:
        mask = torch.tensor([[0, count - 1, -1]])
        entry = write_mask(mask, Classes(tuple(map(str, range(count)))), tmp_path, f"{count}/x")
        written = Image.open(tmp_path / entry["mask"])
        assert written.mode == mode
        assert np.asarray(written).tolist() == [[0, count - 1, unknown]]
        assert entry["shares"] == pytest.approx({"0": 1 / 3, str(count - 1): 1 / 3})


def test_edges_are_written_bright_in_8_bits(tmp_path: Path) -> None:
    edges = torch.tensor([[0.0, 0.25, 0.5], [1.0, 0.75, 0.002]])
    entry = write_edges(edges, Edges(), tmp_path, "deep/x")
    assert entry == {"edges": "deep/x.png", "edge_share": 0.5}
    written = Image.open(tmp_path / "deep/x.png")
    assert written.mode == "L"
    assert np.asarray(written).tolist() == [[0, 64, 128], [255, 191, 1]]


@pytest.mark.parametrize("size", [(3, 5), (12, 20), (1, 1), (6, 40)])
def test_probability_at_another_size_is_mixed(size: tuple[int, int]) -> None:
    ramp = torch.arange(10.0).div(10).expand(6, 10)
    resized = linear(ramp, size)
    assert resized.shape == size
    # Away from the borders a straight ramp stays one, its centres where they were.
    centres = (torch.arange(size[1]) + 0.5) * 10 / size[1] - 0.5
    inner = (centres > 2) & (centres < 7)
    torch.testing.assert_close(resized[0][inner], centres[inner] / 10, atol=1e-4, rtol=0)
    torch.testing.assert_close(linear(torch.full((6, 10), 0.3), size), torch.full(size, 0.3))


def test_every_value_of_a_prediction_can_be_written() -> None:
    assert set(KINDS) == set(Prediction.__annotations__)


def test_a_run_of_results_that_breaks_leaves_the_older_lines(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    save_all(predictor.stream(images / "a.png"), tmp_path / "out")
    (images / "c.png").write_bytes(b"")
    with pytest.raises(DataError):
        save_all(predictor.stream(images), tmp_path / "out")
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n cut"])
def test_the_way_out_needs_no_dataset(predictor: Predictor, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    errors: list[VisionkitError] = []
    assert predictor.predict(tmp_path / "x.png", errors=errors) == []
    with pytest.raises(DataError) as caught:
        predictor.predict(tmp_path / "x.png")
    assert str(caught.value) == str(errors[0])
    assert caught.value.place == str(tmp_path / "x.png")
    assert "replace" in caught.value.fix
    assert "dataset" not in caught.value.fix


def test_pictures_pass_through_what_the_bundle_says(tmp_path: Path) -> None:
    height = {"_target_": "visionkit.datasets.text_size.ToHeight", "height": 16}
    prepared = visionkit.load(save(tmp_path / "model", prepare=[height]), allow=ALLOW, device="cpu")
    given = picture(32, 50)
    (item,) = prepared.reader.find(given)
    opened = item.open()
    assert opened.given.shape == (3, 16, 25)
    assert opened.image.shape == (3, 32, 50)
    (result,) = prepared.predict(given)
    assert result.predictions["segmentation"]["mask"].shape == (32, 50)


def test_density_keeps_its_count_in_the_line_and_in_the_picture(tmp_path: Path) -> None:
    density = torch.tensor([[0.0, 0.25, 0.5], [2.0, 0.75, 0.001]])
    entry = write_density(density, Objects(), tmp_path, "deep/x")
    assert entry == {"density": "deep/x.png", "density_max": 2.0, "count": pytest.approx(3.501)}
    levels = np.asarray(Image.open(tmp_path / "deep" / "x.png")).astype(np.float64)
    assert np.abs(levels / 65535 * 2.0 - density.numpy()).max() < 2e-5
    nobody = write_density(torch.full((2, 2), -0.5), Objects(), tmp_path, "y")
    assert nobody == {"density": "y.png", "density_max": 0.0, "count": -2.0}
    assert KINDS["density"].restore(density, (4, 9)).sum().item() == pytest.approx(density.sum().item())


def test_results_of_an_earlier_prediction_are_no_pictures_to_predict(tmp_path: Path) -> None:
    for name in ("a.png", "out/seg/overlay/a.png", "out/deeper/b.png", "other/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "out" / RESULTS).touch()

    def names(folder: Path) -> list[str]:
        found = files_in(folder, lambda file: file.suffix == ".png", "pictures", {".png"})
        return [file.relative_to(tmp_path).as_posix() for file in found]

    assert names(tmp_path) == ["a.png", "other/c.png"]
    assert names(tmp_path / "out") == ["out/deeper/b.png", "out/seg/overlay/a.png"]  # asked for by its name
