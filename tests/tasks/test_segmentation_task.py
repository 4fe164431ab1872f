import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from visionkit.config import build, compose, conf_dir
from visionkit.errors import ConfigError
from visionkit.inference import MultiScale, SlidingWindow
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy, Dice
from visionkit.network import Network
from visionkit.tasks.segmentation import Segmentation
from visionkit.types import Monitor

LABELS = Classes(("background", "cat", "dog"), ((0, 0, 0), (250, 10, 10), (10, 10, 250)))
CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}


class TinyEncoder(nn.Module):
    """Two maps, strides 2 and 4."""

    channels, strides, in_chans = (4, 6), (2, 4), 3

    def __init__(self, spatial_dims: int = 2) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        convolution = CONVOLUTION[spatial_dims]
        self.first, self.second = convolution(3, 4, 2, stride=2), convolution(4, 6, 2, stride=2)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(image).relu()
        return [first, self.second(first).relu()]


class TinyDecoder(nn.Module):
    """Passes on the finest map."""

    def __init__(self, channels, strides, spatial_dims) -> None:
        super().__init__()
        self.out_channels, self.stride = channels[0], strides[0]

    def forward(self, features) -> torch.Tensor:
        return features[0]


def make(spatial_dims: int = 2, labels: Classes | None = LABELS, **options) -> Network:
    torch.manual_seed(0)
    losses = options.pop("losses", None) or {"cross_entropy": CrossEntropy(), "dice": Dice(weight=0.5)}
    task = partial(Segmentation, decoder=TinyDecoder, losses=losses, **options)
    return Network(TinyEncoder(spatial_dims), {"segmentation": task}, {"mask": labels})


def batch(*space: int) -> dict:
    random = torch.Generator().manual_seed(0)
    mask = torch.randint(-1, 3, (2, *space), generator=random)
    return {"image": torch.randint(256, (2, 3, *space), generator=random, dtype=torch.uint8), "mask": mask}


SPACES = [(16, 16), (13, 7), (1, 1), (5, 6, 7)]


@pytest.mark.parametrize("space", SPACES)
def test_logits_have_the_size_of_the_image_and_train_everything(space) -> None:
    network, example = make(len(space)), batch(*space)
    assert network(example["image"])["segmentation"].shape == (2, 3, *space)
    example["mask"].clamp_(min=0)
    terms = network.loss(example)["segmentation"]
    assert set(terms) == {"cross_entropy", "dice"}
    sum(terms.values()).backward()
    task = network.tasks["segmentation"]
    assert all(parameter.grad.abs().sum() > 0 for parameter in task.parameters())


def test_logits_are_enlarged_by_the_decoders_stride() -> None:
    task = make().tasks["segmentation"]
    nn.init.zeros_(task.head.bias)
    features = [torch.randn(1, 4, 3, 5), torch.randn(1, 6, 2, 3)]
    small = task.head(features[0])
    expected = nn.functional.interpolate(small, size=(6, 10), mode="bilinear", align_corners=False)[:, :, :5, :9]
    torch.testing.assert_close(task(features, (5, 9)), expected)


def test_loss_is_weighted_and_honours_valid() -> None:
    network, example = make(), batch(8, 8)
    terms = network.loss(example)["segmentation"]
    logits = network(example["image"])["segmentation"]
    torch.testing.assert_close(terms["dice"], 0.5 * Dice()(logits, example["mask"]))
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    valid[:, :, 5:] = False
    known = network.loss({**example, "mask": example["mask"].masked_fill(~valid, -1)})["segmentation"]
    wrong = torch.where(valid, example["mask"], (example["mask"] + 1) % 3)
    for name, value in network.loss({**example, "mask": wrong, "valid": valid})["segmentation"].items():
        torch.testing.assert_close(value, known[name])


def test_a_loss_with_weight_zero_is_not_computed() -> None:
    class Refuses(nn.Module):
        weight = 0.0

        def forward(self, logits, target):
            raise AssertionError

    network = make(losses={"cross_entropy": CrossEntropy(), "refuses": Refuses()})
    assert set(network.loss(batch(8, 8))["segmentation"]) == {"cross_entropy"}


def test_unlabelled_batch_has_a_finite_loss() -> None:
    example = batch(8, 8)
    example["mask"].fill_(-1)
    terms = make().loss(example)["segmentation"]
    assert [float(term) for term in terms.values()] == [0.0, 0.0]
    sum(terms.values()).backward()


@pytest.mark.parametrize("space", SPACES)
def test_decide_takes_the_most_probable_class(space) -> None:
    task = make(len(space)).tasks["segmentation"]
    logits = torch.randn(2, 3, *space) * 5
    prediction = task.decide(logits, {})
    probability = logits.double().softmax(1)
    assert torch.equal(prediction["mask"], probability.argmax(1))
    torch.testing.assert_close(prediction["confidence"], probability.amax(1).float())
    assert prediction["mask"].dtype == torch.int64
    assert task.decide(torch.zeros(1, 3, 2, 2), {})["mask"].sum() == 0
    assert task.decide(logits.bfloat16(), {})["confidence"].dtype == torch.float32


def test_metrics_count_only_what_is_real() -> None:
    network, example = make(), batch(6, 9)
    task, prediction = network.tasks["segmentation"], network.predict(example)["segmentation"]
    valid = torch.ones(2, 6, 9, dtype=torch.bool)
    valid[1, 3:] = False
    task.update(prediction, {**example, "valid": valid})
    figures = task.metrics.compute()
    assert figures["confusion"].sum() == ((example["mask"] >= 0) & valid).sum()
    assert figures["iou"].shape == (3,)
    assert math.isfinite(figures[task.monitor.metric])
    assert not any("metrics" in name for name in network.state_dict())
    task.metrics.reset()
    assert task.metrics.compute()["confusion"].sum() == 0


def test_scores_are_mean_iou_of_each_sample() -> None:
    task = make().tasks["segmentation"]
    truth = torch.tensor([[[0, 1], [1, -1]], [[0, 0], [0, 0]], [[-1, -1], [-1, -1]]])
    guess = torch.tensor([[[0, 1], [0, 2]], [[0, 0], [0, 2]], [[1, 1], [1, 1]]])
    # By hand: classes 0 and 1 with 1/2 each; class 0 with 3/4 and a false class 2; nothing labelled.
    assert task.scores({"mask": guess}, {"mask": truth}) == pytest.approx([0.5, 0.375, 1.0])


@pytest.mark.parametrize("inference", [SlidingWindow(8), MultiScale([1.0, 1.5], inner=SlidingWindow(8))])
@pytest.mark.parametrize("space", [(13, 21), (6, 7, 9)])
def test_inference_procedures_run_inside_the_network(inference, space) -> None:
    network, example = make(len(space), inference=inference), batch(*space)
    prediction = network.predict(example)["segmentation"]
    assert prediction["mask"].shape == (2, *space)
    assert ((prediction["confidence"] > 1 / 3 - 1e-6) & (prediction["confidence"] <= 1)).all()


def test_dropout_is_on_in_training_only() -> None:
    network, image = make(dropout=0.5), batch(8, 8)["image"]
    network.train()
    assert not torch.equal(network(image)["segmentation"], network(image)["segmentation"])
    network.eval()
    assert torch.equal(network(image)["segmentation"], network(image)["segmentation"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None}, "C40.*dataset gives no classes for `mask`"),
        ({"labels": Classes(("sky",))}, "C46.*1 class"),
        ({"losses": {"dice": Dice(weight=0.0)}}, r"C43.*every loss has weight 0.*losses\.dice\.weight=1"),
        ({"monitor": Monitor("mioo", "max")}, "C47.*'mioo'; did you mean miou"),
    ],
)
def test_mistakes_are_named(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_one_class_can_be_monitored() -> None:
    assert make(monitor=Monitor("iou/cat", "max")).tasks["segmentation"].monitor.metric == "iou/cat"


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("space", [(9, 14), (3, 9, 14)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_draw_shows_what_there_is(channels, space, dtype) -> None:
    task = make(len(space)).tasks["segmentation"]
    image = (torch.rand(channels, *space) * 200).to(dtype)
    mask = torch.randint(-1, 3, space)
    only_image = task.draw({"image": image})
    with_truth = task.draw({"image": image, "mask": mask})
    both = task.draw({"image": image, "mask": mask}, {"mask": mask.clamp(min=0)})
    assert only_image.shape[1] < with_truth.shape[1] < both.shape[1]
    assert both.dtype == np.uint8
    assert both.shape[2] == 3
    assert task.draw({"image": image}, {"mask": mask.clamp(min=0)}).shape[1] == with_truth.shape[1]


def test_draw_leaves_unlabelled_pixels_and_cuts_padding() -> None:
    task = make().tasks["segmentation"]
    image = torch.tensor([120, 140, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 300, 400)
    valid = torch.zeros(300, 400, dtype=torch.bool)
    valid[:280, :290] = True
    mask = torch.full((300, 400), -1)
    mask[10:20, 10:20] = 1
    picture = task.draw({"image": image, "mask": mask, "valid": valid}, {"mask": torch.full((300, 400), 2)})
    untouched = (picture == (120, 140, 30)).all(-1).sum()
    # One untouched panel, and the truth apart from its one region with the border pixels above and left of it.
    assert 2 * 280 * 290 - 100 - 40 <= untouched <= 2 * 280 * 290 - 100
    assert (picture == (250, 10, 10)).all(-1).any()


def test_draw_works_without_colors() -> None:
    labels = Classes(("road", "sky"))
    picture = (
        make(labels=labels).tasks["segmentation"].draw({"image": torch.rand(3, 8, 8), "mask": torch.ones(8, 8).long()})
    )
    assert picture.max() > 0


@pytest.mark.parametrize("name", ["unet", "fpn"])
def test_configuration_names_real_parts_and_switches_losses_on(name) -> None:
    cfg = compose(None, [f"+task/segmentation={name}", "tasks.segmentation.losses.dice.weight=0.5"])
    options = dict(cfg.tasks.segmentation)
    assert options.pop("decoder")["_partial_"]
    task = build(options, decoder=TinyDecoder)(channels=(4,), strides=(2,), spatial_dims=2, labels=LABELS)
    assert {loss: term.weight for loss, term in task.losses.items()} == {"cross_entropy": 1.0, "dice": 0.5}
    everything = [f"tasks.segmentation.losses.{loss}.weight=1" for loss in cfg.tasks.segmentation.losses]
    cfg = compose(None, [f"+task/segmentation={name}", *everything, "tasks.segmentation.losses.focal.alpha=[1,2,1]"])
    options = {**cfg.tasks.segmentation, "decoder": TinyDecoder}
    task = build(options)(channels=(4,), strides=(2,), spatial_dims=2, labels=LABELS)
    features = [torch.randn(2, 4, 5, 4)]
    terms = task.loss(features, batch(9, 8))
    assert set(terms) == {"cross_entropy", "dice", "focal", "ohem"}
    assert all(term > 0 for term in terms.values())


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "inference").glob("*.yaml")))
def test_inference_is_switched_on_by_one_word(name) -> None:
    cfg = compose(None, ["+task/segmentation=unet", f"+inference={name}"])
    inference = build(cfg.tasks.segmentation.inference)
    view = torch.rand(1, 3, 20, 30)
    torch.testing.assert_close(inference(lambda image: image[:, :1] * 0 + 2, view), torch.full((1, 1, 20, 30), 2.0))


def test_onnx_export_with_free_sizes(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = make().eval()
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network, (torch.rand(2, 3, 21, 30),), dynamic_shapes=(sizes,), dynamo=True, verbose=False
    )
    program.save(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 3, 13, 7), (3, 3, 32, 40)):
        image = torch.rand(shape)
        (output,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), network(image)["segmentation"], atol=1e-5, rtol=1e-5)
