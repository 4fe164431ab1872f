"""The table of several runs: real ones of a sweep, and hand-made ones of which every figure is known."""

import csv
import json
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file

from visionkit.cli import main
from visionkit.commands import compare as command

pytestmark = pytest.mark.early
SIZES = {"train": 12, "val": 4, "test": 4}


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["compare", *argv])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def make_run(
    folder: Path,
    choices: dict[str, str] | None = None,
    overrides: tuple[str, ...] = (),
    metrics: dict[str, Any] | None = None,
    tasks: dict[str, tuple[str, str]] | None = None,
    **costs: Any,
) -> Path:
    """A run folder with the files that a training leaves; ``costs`` changes single figures of costs.json."""
    tasks = tasks or {"segmentation": ("miou", "max")}
    nodes = {name: {"monitor": {"metric": metric, "mode": mode}} for name, (metric, mode) in tasks.items()}
    folder.mkdir(parents=True)
    plain = {"seed": 0, "optimizer": {"lr": 0.1}, "tasks": nodes}
    for word in overrides:
        key, _, value = word.partition("=")
        OmegaConf.update(cfg := OmegaConf.create(plain), key, yaml.safe_load(value))
        plain = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    OmegaConf.save(OmegaConf.create(plain), folder / "config.yaml")
    typed = {"overrides": list(overrides), "choices": choices or {"encoder": "resnet18"}, "sweeps": []}
    (folder / "command.json").write_text(json.dumps(typed))
    figures = {"parameters": 11_250_000, "trained_parameters": 11_250_000, "steps": 2210, "timed_steps": 2000}
    figures |= {"step_time_s": 0.25, "images_per_second": 16.0, "peak_memory_b": 700 * 2**20}
    figures |= {"precision": "bf16-mixed", "device": "Quick 3000, 2 threads", "processes": 1}
    (folder / "costs.json").write_text(json.dumps(figures | costs))
    if metrics is not None:
        content = {"checkpoint": "best.ckpt", "step": 2000, "changes": [], "metrics": metrics}
        (folder / "evaluation" / "test").mkdir(parents=True)
        (folder / "evaluation" / "test" / "metrics.json").write_text(json.dumps(content))
    return folder


def miou(value: float | None, **more: Any) -> dict[str, Any]:
    return {"segmentation": {"miou": value, **more}}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three encoders: the second is best, the third has not ended."""
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/a"), {"encoder": "resnet18"}, (), miou(0.5, pixel_accuracy=0.9))
    make_run(
        Path("runs/b"), {"encoder": "vit_tiny"}, ("seed=1",), miou(0.625, pixel_accuracy=0.8), peak_memory_b=3 * 2**30
    )
    make_run(Path("runs/c"), {"encoder": "ffnet34"})
    (tmp_path / "runs/c/costs.json").unlink()
    return Path("runs")


def table(out: str) -> dict[str, list[str]]:
    """Rows of a Markdown table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def written(capsys: pytest.CaptureFixture[str], *argv: str, kind: str = "md") -> str:
    code, out, err = call(capsys, *argv, "--out", f"table.{kind}")
    assert (code, err) == (0, "")
    assert f"wrote table.{kind}" in out
    return Path(f"table.{kind}").read_text()


def test_each_run_is_a_row(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    text = written(capsys, "runs")
    rows = table(text)
    assert rows.pop("---") == ["---", "---", "---:", "---:", "---:", "---:", "---:"]
    assert rows == {
        "run": ["encoder", "seed", "test miou", "parameters (M)", "step time (ms)", "peak memory (GiB)", "steps"],
        "runs/a": ["resnet18", "0", "0.5", "11.25", "250", "0.68", "2210"],
        "runs/b": ["vit_tiny", "1", "**0.625**", "11.25", "250", "3.00", "2210"],
        "runs/c": ["ffnet34", "0", "-", "-", "-", "-", "-"],
    }
    assert "precision: bf16-mixed, device: Quick 3000, 2 threads" in text
    assert "- runs/c: its training has not ended; no test metrics (visionkit evaluate run=runs/c)" in text


def test_the_terminal_shows_the_same(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    _, out, _ = call(capsys, "runs/a", "runs/b")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip().startswith("runs/")}
    assert lines["runs/a"] == ["resnet18", "0", "0.5", "11.25", "250", "0.68", "2210"]
    assert out.splitlines()[-1].startswith("Next: ")


def test_what_is_too_wide_for_the_terminal_has_a_row_for_each_fact(
    capsys: pytest.CaptureFixture[str], runs: Path
) -> None:
    for name, rate in (("d", 0.1), ("e", 0.2)):
        typed = f"augment={{_target_: torch.optim.SGD, lr: {rate}, why: {'w' * 90}}}"
        make_run(runs / name, None, (typed,), miou(rate))
    _, out, _ = call(capsys, "runs/d", "runs/e")
    lines = [line.split() for line in out.splitlines()]
    assert ["run", "runs/d", "runs/e"] in lines
    assert ["augment", "SGD(lr=0.1,", "SGD(lr=0.2,"] in lines
    assert ["test", "miou", "0.1", "0.2"] in lines


def test_small_memory_is_in_mebibytes(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    rows = table(written(capsys, "runs/a", "runs/c"))
    assert (rows["run"][4], rows["runs/a"][4]) == ("peak memory (MiB)", "700")


@pytest.mark.parametrize(
    "places", [["runs/*"], ["runs"], ["runs/a", "runs/b", "runs/c"], ["runs/a", "runs", "./runs/b"]]
)
def test_paths_patterns_and_folders_mean_the_same(
    capsys: pytest.CaptureFixture[str], runs: Path, places: list[str]
) -> None:
    (runs / "b" / "wandb" / "files").mkdir(parents=True)
    (runs / "b" / "wandb" / "files" / "config.yaml").write_text("{}")  # W&B's own: no run
    assert list(table(written(capsys, *places)))[2:] == ["runs/a", "runs/b", "runs/c"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("miou", "bac"), ("segmentation/miou", "bac"), ("peak_memory_b", "abc"), ("encoder", "cab"), ("run", "abc")],
)
def test_rows_are_sorted_with_the_best_first(
    capsys: pytest.CaptureFixture[str], runs: Path, sort: str, order: str
) -> None:
    rows = list(table(written(capsys, "runs/c", "runs/b", "runs/a", "--sort", sort)))[2:]
    assert [row[-1] for row in rows] == list(order)


def test_without_sorting_the_order_is_the_given_one(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    assert list(table(written(capsys, "runs/b", "runs/a")))[2:] == ["runs/b", "runs/a"]


def test_other_metrics_are_chosen_by_name(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    rows = table(written(capsys, "runs/a", "runs/b", "--metric", "pixel_accuracy,miou"))
    assert rows["run"][2:4] == ["test pixel_accuracy", "test miou"]
    assert rows["runs/a"][2:4] == ["0.9", "0.5"]  # nobody says whether more accuracy is better: nothing is bold
    assert rows["runs/b"][2:4] == ["0.8", "**0.625**"]


def test_a_class_has_figures_too(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    make_run(runs / "d", None, (), miou(0.4, iou=[0.9, 0.125], confusion=[[1, 0], [0, 1]]))
    (runs / "d" / "labels.json").write_text(json.dumps({"mask": {"kind": "classes", "names": ["sky", "road"]}}))
    rows = table(written(capsys, "runs/a", "runs/d", "--metric", "iou/road"))
    assert (rows["runs/a"][0], rows["runs/d"][0]) == ("-", "0.125")


def test_runs_with_different_tasks(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    make_run(runs / "d", None, (), {"edges": {"error": 0.3}}, {"edges": ("error", "min")})
    make_run(runs / "e", None, (), {"edges": {"error": 0.2}}, {"edges": ("error", "min")})
    text = written(capsys, "runs/a", "runs/d", "runs/e")
    rows = table(text)
    assert rows["run"][:2] == ["test segmentation/miou", "test edges/error"]
    assert [rows[f"runs/{name}"][:2] for name in "ade"] == [["0.5", "-"], ["-", "0.3"], ["-", "**0.2**"]]
    assert "- runs/d: no task segmentation\n" in text


def test_numbers_for_programs_are_exact(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    found = json.loads(written(capsys, "runs", kind="json"))
    assert [run["segmentation/miou"] for run in found["runs"]] == [0.5, 0.625, None]
    assert found["runs"][1]["peak_memory_b"] == 3 * 2**30
    assert found["runs"][0]["images_per_second"] == 16
    assert [note.split(":")[0] for note in found["notes"]] == ["runs/c"]
    rows = list(csv.DictReader(written(capsys, "runs", kind="csv").splitlines()))
    assert [row["segmentation/miou"] for row in rows] == ["0.5", "0.625", ""]
    assert (rows[0]["step_time_s"], rows[0]["device"], rows[2]["steps"]) == ("0.25", "Quick 3000, 2 threads", "")


def test_what_makes_figures_special_is_said(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    for name, changes in (("a", {"changes": ["inference=null"]}), ("b", {"checkpoint": "last.ckpt"})):
        file = runs / name / "evaluation/test/metrics.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    make_run(runs / "d", None, (), miou(None), step_time_s=None)
    text = written(capsys, "runs")
    assert "- runs/a: evaluated with inference=null\n" in text
    assert "- runs/b: figures of last.ckpt, not of the best weights\n" in text
    assert "- runs/d: too few steps to time one; segmentation/miou is missing or undefined\n" in text


def test_other_devices_and_frozen_weights_show(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    make_run(runs / "d", None, (), miou(0.4), device="Slow 1", trained_parameters=250_000)
    rows = table(written(capsys, "runs/a", "runs/d"))
    assert dict(zip(rows["run"], rows["runs/d"], strict=True)) == {
        "test miou": "0.4",
        "parameters (M)": "11.25",
        "trained (M)": "0.25",
        "step time (ms)": "250",
        "peak memory (MiB)": "700",
        "steps": "2210",
        "device": "Slow 1",
    }


def test_only_settings_that_differ_show(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    make_run(runs / "d", None, ("optimizer.lr=0.5", "seed=0", "workers=3"), miou(0.4))
    assert table(written(capsys, "runs/a", "runs/d"))["run"][:2] == ["optimizer.lr", "test miou"]


def test_a_run_of_an_older_version_says_so(capsys: pytest.CaptureFixture[str], runs: Path) -> None:
    for name in ("command.json", "costs.json"):
        (runs / "a" / name).unlink(missing_ok=True)
    text = written(capsys, "runs/a", "runs/b")
    assert table(text)["runs/a"][:4] == ["-", "0", "0.5", "-"]
    assert "an older version did not keep its costs" in text


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["runs/d"], 2, "error[C08] runs/d: is no run folder and holds none; did you mean runs/"),
        (["runs/a", "empty"], 2, "error[C08] empty: is no run folder"),
        (["runs/x*"], 2, "error[C08] runs/x*"),
        (
            ["runs", "--metric", "mio"],
            2,
            "error[C67] --metric mio: is a metric of none of these runs; did you mean miou",
        ),
        (["runs", "--sort", "sede"], 2, "did you mean seed"),
        (["runs", "--out", "table.pdf"], 2, "did you mean .md?"),
        ([], 2, "required: runs"),
        (["damaged/json"], 6, "error[U30] damaged/json/costs.json: is no JSON object"),
        (["damaged/list"], 6, "error[U30] damaged/list/command.json: is no JSON object"),
        (["damaged/text"], 6, "error[U31] damaged/text/costs.json: 'steps' is no number"),
        (["damaged/flat"], 6, "error[U31] damaged/flat/evaluation/test/metrics.json: 'metrics' does not hold figures"),
        (["damaged/yaml"], 2, "error[C34] damaged/yaml/config.yaml"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], runs: Path, argv: list[str], code: int, says: str
) -> None:
    Path("empty").mkdir()
    for name in ("json", "list", "text", "flat", "yaml"):
        make_run(Path("damaged") / name, None, (), miou(0.5), **({"steps": "many"} if name == "text" else {}))
    Path("damaged/json/costs.json").write_text('{"steps": ')
    Path("damaged/list/command.json").write_text("[]")
    Path("damaged/flat/evaluation/test/metrics.json").write_text('{"metrics": {"segmentation": 1}}')
    Path("damaged/yaml/config.yaml").write_text("seed: [0")
    found, out, err = call(capsys, *argv)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert says in err


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert command._escape("a|b\nc") == "a\\|b c"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two encoders were trained by one command, six steps each, and one that is none was not."""
    folder = tmp_path_factory.mktemp("user")
    words = ["-m", "experiment=segmentation/quickstart", "encoder.model=test_vit,no_such,test_resnet", "trainer=cpu"]
    words += ["logger=local", "workers=0", "dataset.batch_size=4", "dataset.layout.size=32", "callbacks.costs.warmup=1"]
    words += [f"dataset.layout.length={json.dumps(SIZES).replace(chr(34), '')}"]
    words += ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1", "trainer.precision=null"]
    done = forked.train(folder, *words)
    assert done.returncode == 2, done.stderr
    assert "no_such" in done.stderr
    assert "1 of these runs failed" in done.stderr
    (sweep,) = (folder / "runs/multirun").iterdir()
    assert done.stdout.count(f"visionkit compare runs/multirun/{sweep.name} ") == 2
    return folder


def test_the_runs_of_a_sweep(capsys: pytest.CaptureFixture[str], sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sweep)
    (folder,) = Path("runs/multirun").iterdir()
    of_sweep = json.loads(written(capsys, str(folder), kind="json"))
    assert of_sweep == json.loads(written(capsys, "runs/quickstart*", kind="json"))
    first, second = (f"runs/quickstart-{name}" for name in ("test_vit", "test_resnet"))
    assert of_sweep["notes"] == [f"{second}: peak memory can hold what earlier runs of the same process freed"]
    assert json.loads(Path(first, "costs.json").read_text())["earlier_runs"] == 0
    found = {run["encoder.model"]: run for run in of_sweep["runs"]}
    assert set(found) == {"test_vit", "test_resnet"}
    for run in found.values():
        place = Path(run["run"])
        figures = json.loads((place / "evaluation/test/metrics.json").read_text())["metrics"]
        assert run["segmentation/miou"] == figures["segmentation"]["miou"]
        weights = load_file(place / "bundle" / "model.safetensors")
        buffers = ("running_mean", "running_var", "num_batches_tracked", "mean", "std")
        count = sum(value.numel() for name, value in weights.items() if name.rpartition(".")[2] not in buffers)
        assert run["parameters"] == run["trained_parameters"] == count
        assert (run["steps"], run["timed_steps"], run["precision"]) == (6, 4, "32-true")
        assert 0 < run["step_time_s"] < 60
        assert 2**26 < run["peak_memory_b"] < 2**36
        assert str(torch.get_num_threads()) in run["device"]


def test_a_sweep_whose_runs_are_gone_is_no_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/multirun/now").mkdir(parents=True)
    Path("runs/multirun/now/multirun.yaml").write_text("")
    assert call(capsys, "runs/multirun/now")[0] == 2


def test_a_sweep_of_a_folder_of_its_own_has_its_runs_here(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = runs.parent / "elsewhere" / "study"
    study.mkdir(parents=True)
    (study / "multirun.yaml").write_text("")
    for name in "ab":
        file = runs / name / "command.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"sweeps": ["runs/multirun/before", str(study)]}))
    shown = json.loads(written(capsys, str(study), kind="json"))
    assert [run["run"] for run in shown["runs"]] == ["runs/a", "runs/b"]


def test_gains_over_single_runs_have_their_interval(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, scores in (("a", [0.4, 0.6]), ("b", [0.5, 0.7])):
        content = {"segmentation": {str(index): score for index, score in enumerate(scores)}}
        (runs / name / "evaluation/test/scores.json").write_text(json.dumps(content))
    code, out, _ = call(capsys, "runs/b", "--singles", "runs/a", "--out", "table.json")
    assert code == 0
    assert "+20.0 %" in out
    row = json.loads(Path("table.json").read_text())["runs"][0]
    assert row["delta_m"] == pytest.approx(20.0)
    assert row["delta_m_low"] == pytest.approx(100 / 6)
    assert row["delta_m_high"] == pytest.approx(25.0)


def test_gains_say_which_tasks_they_are_of(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, tasks in (("a", ["segmentation"]), ("b", ["edges", "segmentation"])):
        content = {task: {"0": 0.5} for task in tasks}
        (runs / name / "evaluation/test/scores.json").write_text(json.dumps(content))
    assert call(capsys, "runs/b", "--singles", "runs/a", "runs/c", "--out", "table.json")[0] == 0
    joint, single = json.loads(Path("table.json").read_text())["notes"]
    assert joint == "runs/b: delta-m of segmentation; no single run of edges with scores"
    assert single.startswith("runs/c: no scores.json")
    code, _, err = call(capsys, "runs/b", "--singles", "runs/a", "runs/b")
    assert code == 2
    assert "C238" in err
    assert call(capsys, "runs/b", "--out", "table.json")[0] == 0
    assert json.loads(Path("table.json").read_text())["notes"] == []


def test_damaged_scores_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "a/evaluation/test/scores.json").write_text('{"segmentation": [1, 2]}')
    code, _, err = call(capsys, "runs/a")
    assert code == 6
    assert "U31" in err
    assert "scores.json" in err


def test_the_page_shows_quality_against_time(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "runs/a", "runs/b", "--out", "table.html")[0] == 0
    page = Path("table.html").read_text()
    assert "Quality against time" in page
    assert page.count("<circle") == 3  # one beats the other, so the line of the best is a point as well
