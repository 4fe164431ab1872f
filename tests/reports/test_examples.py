from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from visionkit.reports.examples import ExampleCollector, draw_examples


class Task(torch.nn.Module):
    target = "mask"
    inference = None

    def scores(self, prediction, batch):
        return prediction["level"].tolist()

    def draw(self, sample, prediction=None):
        assert "valid" in sample
        return np.full((2, 2, 3), round(float(prediction["level"]) * 100), np.uint8)


class Network(torch.nn.Module):
    """Its prediction is the mean of the picture."""

    def __init__(self):
        super().__init__()
        self.tasks = torch.nn.ModuleDict({"a": Task()})
        self.was_training = []

    def predict(self, batch, names=None):
        self.was_training.append(self.training)
        return {name: {"level": batch["image"].flatten(1).mean(1)} for name in names}


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.network = Network()

    def test_step(self, batch, index, dataloader_idx=0):
        return self.network.predict(batch, ["a"])

    validation_step = test_step


class Source(list):
    def key(self, index):
        return self[index]["key"]


def source(levels, prefix="k"):
    def sample(i, level):
        return {"key": f"{prefix}{i}", "image": torch.full((3, 2, 2), float(level)), "valid": torch.ones(2, 2) > 0}

    return Source(sample(i, level) for i, level in enumerate(levels))


def collate(samples, **more):
    batch = {name: torch.stack([s[name] for s in samples]) for name in ("image", "valid")}
    return batch | {"key": [s["key"] for s in samples], "mask": torch.zeros(len(samples), 2, 2)}


def evaluate(folder, sources, stage="test", collate=collate):
    collector, module = ExampleCollector(), Module()
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[collector],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loaders = [DataLoader(part, batch_size=2, collate_fn=collate) for part in sources.values()]
    getattr(trainer, stage)(module, loaders, verbose=False)
    return collector, module


@pytest.mark.parametrize("stage", ["test", "validate"])
def test_worst_median_and_best_of_all_sources(tmp_path, stage):
    sources = {"x": source([0.5, 0.1, 0.9, 0.4]), "y": source([0.2, 0.6, 0.8])}
    collector, _ = evaluate(tmp_path, sources, stage)
    chosen = collector.chosen(sources, count=2)["a"]
    assert [(e.kind, round(e.score, 3), e.source, e.index, e.key) for e in chosen] == [
        ("worst", 0.1, "x", 1, "k1"),
        ("worst", 0.2, "y", 0, "k0"),
        ("median", 0.4, "x", 3, "k3"),
        ("median", 0.5, "x", 0, "k0"),
        ("best", 0.9, "x", 2, "k2"),
        ("best", 0.8, "y", 2, "k2"),
    ]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], {}),
        ([0.5], {"worst": [0.5]}),
        ([0.5, 0.2], {"worst": [0.2], "best": [0.5]}),
        ([0.5, 0.2, 0.3], {"worst": [0.2], "median": [0.3], "best": [0.5]}),
        ([0.5, 0.2, 0.3, 0.4, 0.1], {"worst": [0.1], "median": [0.3], "best": [0.5]}),
        ([0.5, float("nan"), 0.2], {"worst": [0.2], "best": [0.5]}),
        ([float("nan")], {}),
    ],
)
def test_small_sets_show_no_sample_twice(tmp_path, levels, expected):
    sources = {"x": source(levels)}
    collector, _ = evaluate(tmp_path, sources) if levels else (ExampleCollector(), None)
    kinds = {}
    for example in collector.chosen(sources, count=3).get("a", []):
        kinds.setdefault(example.kind, []).append(round(example.score, 3))
    assert kinds == expected


def test_equal_scores_are_ordered_by_key(tmp_path):
    sources = {"x": source([0.5] * 6)}
    collector, _ = evaluate(tmp_path, sources)
    assert [e.key for e in collector.chosen(sources, 1)["a"]] == ["k0", "k2", "k5"]


def test_a_batch_without_the_target_is_not_scored(tmp_path):
    sources = {"x": source([0.5, 0.6])}
    collector, _ = evaluate(
        tmp_path, sources, collate=lambda samples: {k: v for k, v in collate(samples).items() if k != "mask"}
    )
    assert collector.chosen(sources) == {}


def test_pictures_are_drawn_from_the_sample_and_its_own_prediction(tmp_path):
    sources = {"x": source([0.5, 0.1, 0.9])}
    collector, module = evaluate(tmp_path, sources)
    module.network.was_training.clear()
    module.network.train()
    drawn = draw_examples(module.network, collector.chosen(sources), sources, collate)
    assert [(e.kind, int(e.picture[0, 0, 0])) for e in drawn["a"]] == [("worst", 10), ("median", 50), ("best", 90)]
    assert module.network.was_training == [False] * 3
    assert module.network.training


def test_pictures_show_what_a_task_explains(tmp_path):
    sources = {"x": source([0.25])}
    collector, module = evaluate(tmp_path, sources)
    network = module.network
    network.encode = lambda image: [image]
    network.tasks["a"].forward = lambda features, size: features[0]
    network.tasks["a"].explain = lambda outputs, batch, prediction: {"level": outputs.mean((1, 2, 3)) * 2}
    drawn = draw_examples(network, collector.chosen(sources), sources, collate)
    assert [int(e.picture[0, 0, 0]) for e in drawn["a"]] == [50]


def test_the_scores_of_all_processes_are_put_together(tmp_path, monkeypatch):
    first, second = {"x": source([0.5, 0.7])}, {"x": source([0.1], "z")}
    mine, other = evaluate(tmp_path, first)[0], evaluate(tmp_path, second)[0]

    def gather(parts, own):
        parts[:] = [own, other._scored]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    mine.on_test_epoch_end(SimpleNamespace(world_size=2), None)
    everything = {"x": Source([*first["x"], *second["x"]])}
    assert [(e.kind, e.key, e.index) for e in mine.chosen(everything)["a"]] == [
        ("worst", "z0", 2),
        ("median", "k0", 0),
        ("best", "k1", 1),
    ]


def test_equal_keys_of_two_sources_keep_both_scores(tmp_path):
    sources = {"x": source([0.5, 0.1]), "y": source([0.2, float("nan")])}
    collector, _ = evaluate(tmp_path, sources)
    found = collector.scores(list(sources))["a"]
    assert found == {"x/k0": 0.5, "x/k1": pytest.approx(0.1), "y/k0": pytest.approx(0.2)}


def test_the_only_source_of_a_task_needs_no_name(tmp_path):
    sources = {"x": source([0.5]), "y": source([])}
    collector, _ = evaluate(tmp_path, sources)
    assert collector.scores(list(sources)) == {"a": {"k0": 0.5}}
    assert ExampleCollector().scores(["x"]) == {}
