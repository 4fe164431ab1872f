"""Network: one encoder and its tasks; what training, evaluation, export and prediction share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from visionkit.layers.padding import pad_to_multiple
from visionkit.types import Batch, Encoder, Explained, Features, Prediction, Sample, Streaming, Task


def target_of(task: Callable[..., Task]) -> str:
    """The Sample key that a task, or a partial that will make one, learns from."""
    return cast(str, getattr(task, "func", task).target)  # type: ignore[union-attr]


class Network(nn.Module):
    """Encodes each image once and hands the features to every task.

    Args:
        encoder: any Encoder.
        tasks: by name, each called as ``task(channels=, strides=, spatial_dims=, labels=)``.
        labels: what the data says of each target key (``{"mask": Classes(...)}``).
    """

    def __init__(
        self, encoder: Encoder, tasks: Mapping[str, Callable[..., Task]], labels: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.encoder: Any = encoder
        shape = {"channels": encoder.channels, "strides": encoder.strides, "spatial_dims": encoder.spatial_dims}
        built = {name: task(**shape, labels=(labels or {}).get(target_of(task))) for name, task in tasks.items()}
        self.tasks = nn.ModuleDict(built)  # type: ignore[arg-type]

    @property
    def named_tasks(self) -> dict[str, Task]:
        """The tasks by name."""
        return cast(dict[str, Task], dict(self.tasks.items()))

    def encode(self, image: Float[Tensor, "b c *space"] | UInt8[Tensor, "b c *space"]) -> list[Tensor]:
        """Feature maps of the padded image; bytes become 0..1 here, on the device; grey fills all channels."""
        if image.dtype == torch.uint8:
            weight = next(self.encoder.parameters(), None)
            image = (image.float() / 255).to(torch.float32 if weight is None else weight.dtype)
        if image.shape[1] == 1 < self.encoder.in_chans:
            image = image.expand(-1, self.encoder.in_chans, *image.shape[2:])
        return self.encoder(pad_to_multiple(image, self.encoder.strides[-1]))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Raw outputs of every task, at the image's size."""
        features = self.encode(image)
        return {name: task(features, image.shape[2:]) for name, task in self.named_tasks.items()}

    def loss(
        self,
        batch: Batch,
        features: Features | None = None,
        names: Collection[str] | None = None,
        gate: Callable[[str, Features], Features] | None = None,
    ) -> dict[str, dict[str, Tensor]]:
        """Loss terms of the named tasks whose target the batch carries (all by default), from one encoder pass.

        ``gate`` lets the features through to each task: where its gradient can be weighted.
        """
        tasks = self.named_tasks
        wanted = {name: tasks[name] for name in (tasks if names is None else names) if tasks[name].target in batch}
        if not wanted:
            return {}
        features = self.encode(batch["image"]) if features is None else features
        passed = gate or (lambda _, features: features)
        return {name: task.loss(passed(name, features), batch) for name, task in wanted.items()}

    def predict(
        self, batch: Batch, names: Collection[str] | None = None, features: Features | None = None
    ) -> dict[str, Prediction]:
        """Decisions of the named tasks (all by default), each by its own inference procedure.

        Where that can stream and the task decides each place alone, slabs are decided and moved to the host in turn,
        so that the raw outputs of a large volume are never held as a whole.
        """
        image = batch["image"]
        predictions = {}
        for name in self.tasks if names is None else names:
            task, inference = self.named_tasks[name], self.named_tasks[name].inference
            if inference is None:
                features = self.encode(image) if features is None else features
                predictions[name] = task.decide(task(features, image.shape[2:]), batch)
            elif isinstance(inference, Streaming) and getattr(task, "pointwise", False):
                slabs = inference.stream(partial(self._dense, task), image)
                predictions[name] = _joined([_on_host(task.decide(slab, batch)) for slab in slabs])
            else:
                predictions[name] = task.decide(inference(partial(self._dense, task), image), batch)
        return predictions

    def _dense(self, task: Task, image: Tensor) -> Tensor:
        return task(self.encode(image), image.shape[2:])


@torch.no_grad()
def explained(network: Any, name: str, sample: Sample, prediction: Prediction) -> Explained:
    """The prediction of one sample on the host, with what its task explains of it: for a picture that is drawn next.

    Costs one more pass of the sample, and nothing for tasks that explain nothing.
    """
    task = network.tasks[name]
    if not hasattr(task, "explain"):
        return cast(Explained, prediction)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    parts: dict[str, Any] = {kind: value for kind, value in sample.items() if kind in ("image", "valid")}
    batch = {kind: value[None].to(device) for kind, value in parts.items()}
    found: dict[str, Any] = dict(prediction)
    outputs = task(network.encode(batch["image"]), batch["image"].shape[2:])
    more = task.explain(outputs, batch, {kind: value[None].to(device) for kind, value in found.items()})
    return cast(Explained, found | {kind: value[0].cpu() for kind, value in more.items()})


def _on_host(prediction: Prediction) -> Prediction:
    return cast(Prediction, {kind: value.cpu() for kind, value in prediction.items()})  # type: ignore[attr-defined]


def _joined(slabs: Sequence[Prediction]) -> Prediction:
    """Decisions about consecutive slabs along the first axis of space, as one."""
    if len(slabs) == 1:
        return slabs[0]
    return cast(Prediction, {kind: torch.cat([slab[kind] for slab in slabs], 1) for kind in slabs[0]})  # type: ignore[literal-required]
