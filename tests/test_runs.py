import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from visionkit.config import compose
from visionkit.errors import ConfigError
from visionkit.run_config import save_config
from visionkit.runs import discard, evaluation_place, join_sweep, open_run, save_command


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def started(name: str, *overrides: str) -> Path:
    cfg = compose("train", list(overrides))
    run = open_run(cfg, name)
    assert not run.resumed
    OmegaConf.update(cfg, "run", str(run.folder))
    save_config(cfg, run.folder)
    return run.folder


def test_a_new_run_never_takes_the_folder_of_another() -> None:
    assert [started("a").name, started("a").name, started("a").name, started("a-2").name] == [
        "a",
        "a-2",
        "a-3",
        "a-2-2",
    ]


def test_a_named_folder_is_continued_only_when_asked() -> None:
    started("", "run=mine")
    with pytest.raises(ConfigError, match="resume=auto"):
        open_run(compose("train", ["run=mine"]), "")
    run = open_run(compose("train", ["run=mine", "resume=auto"]), "")
    assert (run.folder, run.resumed) == (Path("mine"), True)


def test_a_named_folder_made_by_another_configuration_is_refused() -> None:
    started("", "run=mine")
    with pytest.raises(ConfigError, match=r"seed=0, now 1 \(1 such\)"):
        open_run(compose("train", ["run=mine", "resume=auto", "seed=1"]), "")


def test_what_does_not_change_the_result_may_differ() -> None:
    started("", "run=mine")
    words = ["run=mine", "resume=auto", "workers=2", "logger=local", "checkpoint.keep=3", "trainer.log_every_n_steps=1"]
    assert open_run(compose("train", words), "").resumed


def test_resume_finds_the_run_that_the_same_command_started() -> None:
    first, second = started("a", "seed=1"), started("a", "seed=2")
    for seed, folder in ((1, first), (2, second)):
        run = open_run(compose("train", [f"seed={seed}", "resume=auto"]), "a")
        assert (run.folder, run.resumed) == (folder, True)
    assert not open_run(compose("train", ["seed=3", "resume=auto"]), "a").resumed


def test_what_was_typed_is_kept_without_hydras_own_choices(tmp_path: Path) -> None:
    save_command(tmp_path, ["+a=é"], {"encoder": "resnet18", "hydra/launcher": "basic"}, "runs/multirun/now")
    kept = json.loads((tmp_path / "command.json").read_text(encoding="utf-8"))
    assert kept == {"overrides": ["+a=é"], "choices": {"encoder": "resnet18"}, "sweeps": ["runs/multirun/now"]}
    join_sweep(tmp_path, "runs/multirun/later")
    kept = json.loads((tmp_path / "command.json").read_text(encoding="utf-8"))
    assert kept["overrides"] == ["+a=é"]
    assert kept["sweeps"] == ["runs/multirun/now", "runs/multirun/later"]


def test_a_run_that_failed_before_it_began_leaves_its_name() -> None:
    run = open_run(compose("train", []), "a")
    save_config(compose("train", ["run=runs/a"]), run.folder)
    save_command(run.folder, ["seed=1"], {"encoder": "resnet18"}, None)
    discard(run)
    assert not run.folder.exists()
    run = open_run(compose("train", []), "a")
    (run.folder / "metrics.jsonl").write_text("{}")
    discard(run)
    assert run.folder.is_dir()


def test_only_figures_of_the_best_weights_as_they_were_trained_are_the_runs_own() -> None:
    run = Path("runs/a")
    assert evaluation_place(run, "best", []) == evaluation_place(run, "best", ["workers=0", "trainer.limit=1"]) == run
    others = [
        evaluation_place(run, "last", []),
        evaluation_place(run, "best", ["generation=greedy"]),
        evaluation_place(run, "best", ["dataset.root=/a/b"]),
        evaluation_place(run, "best", ["dataset.root=/a_b"]),
        evaluation_place(run, "best", ["dataset.root=/" + "a" * 300]),
    ]
    assert others[:2] == [run / "evaluations/checkpoint=last", run / "evaluations/generation=greedy"]
    assert len(set(others)) == 5
    assert all(place.parent == run / "evaluations" and len(place.name) < 100 for place in others)
