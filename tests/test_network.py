from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from visionkit.decoders.unet import UNet
from visionkit.encoders.conv import ConvEncoder
from visionkit.inference import SlidingWindow
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy
from visionkit.network import Network
from visionkit.tasks.segmentation import Segmentation

LABELS = Classes(tuple("abcdefg"))


def make(inference) -> Network:
    torch.manual_seed(0)
    decoder = partial(UNet, widths=(4,))
    task = partial(Segmentation, decoder=decoder, losses={"loss": CrossEntropy()}, inference=inference)
    return Network(ConvEncoder((3, 4), (1, 2)), {"segmentation": task}, {"mask": LABELS}).eval()


class Largest(TorchDispatchMode):
    """Notes the most values that any tensor of floats with a channel axis holds while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim == 5 and value.shape[1] > 1:
                self.most = max(self.most, value.untyped_storage().nbytes() // value.element_size())
        return result


def most_alive(depth: int, stream: bool) -> int:
    inference = SlidingWindow(8, batch_size=1)
    network, volume = make(inference if stream else inference.__call__), torch.randn(1, 1, depth, 16, 16)
    with torch.no_grad(), Largest() as largest:
        network.predict({"image": volume})
    return largest.most


def test_logits_of_a_deeper_volume_need_no_more_memory() -> None:
    assert most_alive(24, stream=True) == most_alive(96, stream=True) < 7 * 24 * 16 * 16
    assert most_alive(96, stream=False) == 7 * 96 * 16 * 16


@pytest.mark.parametrize("space", [(30, 11, 13), (5, 6, 7)])
def test_streamed_decisions_are_those_of_the_whole(space) -> None:
    inference, batch = SlidingWindow(8, batch_size=3), {"image": torch.randn(2, 1, *space)}
    with torch.no_grad():
        streamed = make(inference).predict(batch)["segmentation"]
        whole = make(inference.__call__).predict(batch)["segmentation"]
    assert streamed["mask"].shape == (2, *space)
    assert torch.equal(streamed["mask"], whole["mask"])
    torch.testing.assert_close(streamed["confidence"], whole["confidence"], atol=1e-6, rtol=0)


def test_a_task_that_looks_around_is_given_the_whole() -> None:
    network, seen = make(SlidingWindow(8)), []
    task = network.tasks["segmentation"]
    decide = task.decide
    task.pointwise, task.decide = False, lambda outputs, batch: seen.append(outputs.shape) or decide(outputs, batch)
    with torch.no_grad():
        network.predict({"image": torch.randn(1, 1, 30, 8, 8)})
    assert seen == [(1, 7, 30, 8, 8)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_bytes_become_what_the_weights_are(dtype) -> None:
    network, image = make(None).to(dtype), torch.randint(256, (1, 1, 8, 16, 16), dtype=torch.uint8)
    floats = network((image.float() / 255).to(dtype))["segmentation"]
    assert floats.dtype == dtype
    assert torch.equal(network(image)["segmentation"], floats)
