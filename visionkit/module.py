"""VisionModule: the training loop that every task shares."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from visionkit.datasets.mixtures import Mixture
from visionkit.errors import ConfigError
from visionkit.layers.channels_last import channels_last, channels_last_
from visionkit.multitask.balance import Balance, Sums
from visionkit.network import Network
from visionkit.seeding import seed_model
from visionkit.types import Batch, Features, Monitor, Prediction, Task, Windowed


class VisionModule(LightningModule):
    """Trains a Network: one encoder pass an image, every task whose target is there contributes.

    Args:
        network: encoder and tasks.
        optimizer: called with parameter groups.
        schedule: called as ``schedule(optimizer, total_steps=...)``; None keeps the rate.
        balance: how the losses of the tasks become one.
        seed: of the run; every step draws from f(seed, step, rank).
        channels_last: keep pictures and weights in that memory format.
        compile_network: pass encoder and tasks through torch.compile.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., Any] | None,
        balance: Balance,
        seed: int = 0,
        channels_last: bool = False,
        compile_network: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.balance = network, balance
        self.optimizer_factory, self.schedule_factory = optimizer, schedule
        self.seed, self.channels_last = seed, channels_last
        self.results: dict[str, dict[str, dict[str, Tensor]]] = {}
        self.step_losses: Sums = {}
        self._losses = nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in network.tasks})
        if channels_last:
            channels_last_(network)
        if compile_network:
            network.encoder.compile()
            for task in network.tasks.values():
                task.compile()

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name."""
        return self.network.named_tasks

    @property
    def shared(self) -> list[nn.Parameter]:
        """The parameters that every task uses: those of the encoder that learn."""
        return [parameter for parameter in self.network.encoder.parameters() if parameter.requires_grad]

    def monitor(self) -> Monitor:
        """What checkpoints are compared by: the metric of the first task, as a log key."""
        name, task = next(iter(self.tasks.items()))
        return Monitor(f"val/{name}/{task.monitor.metric}", task.monitor.mode)

    def training_step(self, batch: dict[str, Batch], batch_idx: int) -> dict[str, Any] | None:
        """Loss of all sources and tasks; None where every sample of the batch was skipped as bad."""
        seed_model(self.seed, self.trainer.fit_loop.epoch_loop.total_batch_idx, self.global_rank)
        parts = {
            name: self.network.loss(self._laid_out(source), gate=self.balance.gate) for name, source in batch.items()
        }
        terms = _added(parts.values())
        if self._mixture is not None:
            self._mixture.observe({name: _sum(part) for name, part in parts.items() if part})
        if not batch:
            return None
        if not terms:
            wanted = ", ".join(sorted({task.target for task in self.tasks.values()}))
            raise ConfigError("C12", "dataset", f"carries none of the targets {wanted}", "choose a dataset that does")
        total, losses = self.balance(terms, self.shared)
        self.step_losses = losses
        figures = {f"train/{task}/{term}": value.detach() for task, own in terms.items() for term, value in own.items()}
        if len(losses) > 1:
            figures |= {f"train/{task}/loss": value.detach() for task, value in losses.items()}
        figures |= {f"train/{task}/weight": torch.tensor(w) for task, w in self.balance.weights_now().items()}
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=1)
        self.log_dict(figures, batch_size=1)
        detached = {task: {term: value.detach() for term, value in own.items()} for task, own in terms.items()}
        return {"loss": total, "terms": detached}

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Prediction]:
        """Predictions of every task whose target the batch carries; its metrics and loss are updated.

        The loss needs the features of the whole image: it leaves out images for which a task takes several windows.
        """
        if not batch:
            return {}
        batch = self._laid_out(batch)
        whole = [name for name, task in self.tasks.items() if _in_one_pass(task, batch["image"].shape[2:])]
        features = self.network.encode(batch["image"]) if whole else None
        for name, terms in self.network.loss(batch, features, whole).items():
            self._loss(name).update(sum(terms.values()), weight=len(batch["key"]))
        return self._evaluate(batch, features)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Prediction]:
        """Predictions of every task whose target the batch carries; its metrics are updated."""
        return self._evaluate(self._laid_out(batch)) if batch else {}

    def on_train_batch_end(self, *_: Any) -> None:
        """Lets go of the graph of the step; after an epoch's last one, balance and mixture may learn from the epoch.

        The module's ``on_train_epoch_end`` would be too late: the checkpoint of the epoch's end is written in that of a
        callback, and Lightning calls those first.
        """
        self.step_losses = {}
        if not self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        self.balance.end_epoch()
        if self._mixture is not None:
            self._mixture.end_epoch()

    def on_validation_epoch_end(self) -> None:
        """Computes and logs the metrics of the whole validation set."""
        for name in self._losses:
            metric = self._loss(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of nothing: every image took several windows
                mean = metric.compute()
            if not self.trainer.sanity_checking and not mean.isnan():
                self.log(f"val/{name}/loss", mean)
            metric.reset()
        self._conclude("val")

    def on_test_epoch_end(self) -> None:
        """Computes and logs the metrics of the whole test set."""
        self._conclude("test")

    def configure_optimizers(self) -> Any:
        """The optimizer over two groups (biases and norms do not decay) and its schedule by step."""
        optimizer = self.optimizer_factory(decay_groups(self))
        if self.schedule_factory is None:
            return {"optimizer": optimizer}
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            fix = "set trainer.max_steps or trainer.max_epochs"
            raise ConfigError("C33", "schedule", "has no end to plan for", fix)
        scheduler = self.schedule_factory(optimizer, total_steps=int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips as Lightning does, but also with a fused optimizer under bf16, where no gradient is scaled."""
        if not gradient_clip_val:
            return
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if scaled and any(group.get("fused") for group in optimizer.param_groups):
            what = "a fused optimizer cannot clip gradients that are scaled"
            raise ConfigError("C32", "trainer.precision=16-mixed", what, "take bf16-mixed or add optimizer.fused=false")
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def _evaluate(self, batch: Batch, features: Features | None = None) -> dict[str, Prediction]:
        names = [name for name, task in self.tasks.items() if task.target in batch]
        predictions = self.network.predict(batch, names, features)
        for name, prediction in predictions.items():
            self.tasks[name].update(prediction, batch)
        return predictions

    @property
    def _mixture(self) -> Mixture | None:
        return getattr(self.trainer.datamodule, "mixture", None)  # type: ignore[attr-defined]

    def _loss(self, name: str) -> MeanMetric:
        return cast(MeanMetric, self._losses[name])

    def _conclude(self, stage: str) -> None:
        results: dict[str, dict[str, Tensor]] = {}
        for name, task in self.tasks.items():
            results[name] = {key: value.detach().cpu() for key, value in task.metrics.compute().items()}
            task.metrics.reset()
        if self.trainer.sanity_checking:
            return
        self.results[stage] = results
        for name, own in results.items():
            self.log_dict(flatten(f"{stage}/{name}", own, getattr(self.tasks[name].labels, "names", ())))

    def _laid_out(self, batch: Batch) -> Batch:
        return cast(Batch, {**batch, "image": channels_last(batch["image"])}) if self.channels_last else batch


def _added(parts: Iterable[Mapping[str, Mapping[str, Tensor]]]) -> dict[str, dict[str, Tensor]]:
    """Terms by task, those that several sources have in common added up."""
    terms: dict[str, dict[str, Tensor]] = {}
    for part in parts:
        for task, losses in part.items():
            own = terms.setdefault(task, {})
            for term, value in losses.items():
                own[term] = own[term] + value if term in own else value
    return terms


def _sum(part: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    """The loss of one source, without its graph."""
    return torch.stack([value.detach() for losses in part.values() for value in losses.values()]).sum()


def _in_one_pass(task: Task, space: Sequence[int]) -> bool:
    return not isinstance(task.inference, Windowed) or task.inference.covers(space)


def flatten(prefix: str, results: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Figures by log key: scalars by name, vectors by name and class; matrices belong to the report."""
    figures = {f"{prefix}/{key}": value.float() for key, value in results.items() if value.ndim == 0}
    for key, value in results.items():
        if value.ndim == 1:
            figures |= {f"{prefix}/{key}/{name}": figure.float() for name, figure in zip(names, value, strict=True)}
    return figures


def decay_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: those that decay, and vectors (biases, norms), which do not."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    vectors = [parameter for parameter in trainable if parameter.ndim < 2]
    matrices = [parameter for parameter in trainable if parameter.ndim >= 2]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
