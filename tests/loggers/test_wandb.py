import json
import os
import struct
import sys
from pathlib import Path

import forked
import numpy as np
import pytest
import wandb
from PIL import Image
from wandb.proto import wandb_internal_pb2

from visionkit.config import build
from visionkit.loggers.wandb import WandbLogger, logged_in


def records(path: Path):
    """Records of a .wandb file: a LevelDB log (32 KiB blocks of crc, length, kind, data) of protobuf messages."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(content):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        if kind == 0:
            at += room
            continue
        parts = (parts if kind in (3, 4) else b"") + content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record


def values(items):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One offline run with everything that the toolkit logs, and a second part after a resume."""
    folder = tmp_path_factory.mktemp("runs") / "segmentation unet"
    bundle = folder / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text("{}")
    picture = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    ids = []
    for part in range(2):
        logger = WandbLogger(folder)
        logger.log_hyperparams({"optimizer": {"lr": 0.25}, "encoder": "resnet18"})
        logger.log_metrics({"train/loss": 1.5 - part, "epoch": part}, step=10 + part)
        logger.log_image("val/segmentation/predictions", [picture], step=10 + part)
        if part:
            logger.log_folder(bundle, "bundle")
        ids.append(logger.version)
        logger.finish()
        assert logger.folder.is_dir()
    assert wandb.run is None
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    return folder, ids, files, picture


def test_a_resumed_run_keeps_its_id_and_name(run):
    folder, ids, files, _ = run
    assert ids[0] == ids[1] == (folder / "wandb_id.txt").read_text().strip()
    assert len(files) == 2
    for path in files:
        (record,) = [record.run for record in records(path) if record.HasField("run")]
        assert (record.run_id, record.project, record.display_name) == (ids[0], "visionkit", "segmentation unet")


def test_figures_come_back(run):
    rows = [values(r.history.item) for path in run[2] for r in records(path) if r.HasField("history")]
    rows = [row for row in rows if "train/loss" in row]
    assert [(row["trainer/global_step"], row["train/loss"], row["epoch"]) for row in rows] == [
        (10, 1.5, 0),
        (11, 0.5, 1),
    ]


def test_config_comes_back(run):
    updates = [values(r.config.update) for r in records(run[2][0]) if r.HasField("config")]
    merged = {name: value for update in updates for name, value in update.items()}
    assert merged["optimizer"] == {"lr": 0.25}
    assert merged["encoder"] == "resnet18"


def test_pictures_come_back(run):
    path, picture = run[2][0], run[3]
    rows = [values(r.history.item) for r in records(path) if r.HasField("history")]
    ((name,),) = [row[key] for row in rows for key in row if key == "val/segmentation/predictions/filenames"]
    assert np.array_equal(np.asarray(Image.open(path.parent / "files" / name)), picture)


def test_summary_comes_back(run):
    updates = [values(r.summary.update) for r in records(run[2][1]) if r.HasField("summary")]
    merged = {name: value for update in updates for name, value in update.items()}
    assert merged["train/loss"] == 0.5


def test_the_bundle_comes_back_as_an_artifact(run):
    folder, ids, files, _ = run
    (artifact,) = [
        r.request.log_artifact.artifact if r.HasField("request") else r.artifact
        for r in records(files[1])
        if r.HasField("artifact") or (r.HasField("request") and r.request.HasField("log_artifact"))
    ]
    assert (artifact.name, artifact.type) == (f"bundle-{ids[0]}", "model")
    (content,) = artifact.manifest.contents
    assert (content.path, content.local_path) == ("config.json", str(folder / "bundle" / "config.json"))


def test_an_exit_is_recorded(run):
    (last,) = [r.exit.exit_code for r in records(run[2][1]) if r.HasField("exit")]
    assert last == 0


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """Nobody is logged in, whatever this machine's owner has set."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # it reads the environment once
    yield tmp_path
    wandb.teardown()


def test_offline_without_an_account_and_even_when_online_is_asked_for(nobody, monkeypatch, capsys):
    assert WandbLogger(nobody / "run")._wandb_init["mode"] == "offline"
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("WANDB_MODE", "online")
    assert WandbLogger(nobody / "run")._wandb_init["mode"] == "offline"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("visionkit: warning: WANDB_MODE=online, but nobody is logged in to W&B")


def test_an_offline_run_begins_with_one_line(tmp_path):
    program = (
        "from visionkit.loggers.wandb import WandbLogger\n"
        f"logger = WandbLogger({str(tmp_path / 'run')!r})\n"
        "logger.log_metrics({'a': 1.0}, 0)\n"
        "assert logger.address is None\n"
        "logger.finish()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SILENT"}
    done = forked.program(program, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"W&B run: {tmp_path / 'run' / 'wandb' / 'offline-run-'}")
    assert done.stdout.count("\n") == 1


def test_the_mode_of_the_environment_counts(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert WandbLogger(nobody / "run")._wandb_init["mode"] is None
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = WandbLogger(nobody / "run")
    logger.log_metrics({"a": 1.0}, 0)
    logger.log_image("b", [np.zeros((4, 4, 3), np.uint8)], 0)
    logger.finish()
    assert not (nobody / "run" / "wandb").exists()
    assert logger.folder is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machine api.wandb.ai login user password secret\n", True),
        ("machine elsewhere.org login user password secret\n", False),
        ("default login user password secret\n", False),
        ("machine machine machine", False),
        (None, False),
    ],
)
def test_logged_in_reads_the_netrc_file(nobody, text, expected):
    if text is not None:
        (nobody / "netrc").write_text(text)
    assert logged_in() is expected


def test_logged_in_means_the_server_in_use(nobody, monkeypatch):
    (nobody / "netrc").write_text("machine wandb.company.org login user password secret\n")
    assert not logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.company.org")
    assert logged_in()


def test_an_unreachable_server_is_one_line_and_an_offline_run(nobody, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("visionkit.loggers.wandb._INIT_TIMEOUT_S", 1)
    logger = WandbLogger(nobody / "run")
    logger.log_metrics({"a": 1.0}, 0)
    logger.finish()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("visionkit: warning: ")]
    assert len(lines) == 1
    assert "W&B cannot be reached; the run is kept offline" in lines[0]
    assert len(list((nobody / "run" / "wandb").glob("offline-run-*/*.wandb"))) == 1


def test_a_fault_of_wandb_is_told_once_and_training_goes_on(tmp_path, capsys):
    class Broken:
        id = "x"

        def __getattr__(self, name):
            raise BrokenPipeError("the service\nhas died")

    logger = WandbLogger(tmp_path / "run")
    logger._experiment = Broken()
    for step in range(3):
        logger.log_metrics({"a": 1.0}, step)
    logger.log_hyperparams({"a": 1})
    logger.finish()
    assert capsys.readouterr().err.splitlines() == [
        f"visionkit: warning: W&B did not take {what} (the service has died)"
        for what in ("figures", "the configuration", "the end of the run")
    ]


def test_a_run_left_open_does_not_swallow_the_next(tmp_path):
    left_open = wandb.init(dir=tmp_path, mode="offline", settings=wandb.Settings(silent=True, console="off"))
    logger = WandbLogger(tmp_path / "run")
    logger.log_metrics({"a": 1.0}, 0)
    assert wandb.run.id == logger.version != left_open.id
    logger.finish()


def test_an_agent_of_a_sweep_names_the_run(nobody, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "fromsweep")
    assert WandbLogger(nobody / "run").version == "fromsweep"


def test_tensorboard_missing_is_one_line(tmp_path, monkeypatch):
    from visionkit.errors import ResourceError
    from visionkit.loggers.tensorboard import tensorboard_logger

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ResourceError, match=r"error\[R13\] the package tensorboard is not installed; pip install"):
        tensorboard_logger(tmp_path)


@pytest.mark.parametrize("choice", ["local", "wandb", "tensorboard"])
def test_every_choice_keeps_the_local_history(tmp_path, choice):
    import hydra

    from visionkit.config import conf_dir

    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose(overrides=[f"+logger={choice}", f"+run={tmp_path}"])
    loggers = build(cfg.logger)
    assert list(loggers) == ["jsonl"] + ([] if choice == "local" else [choice])
    assert all(Path(logger.save_dir) == tmp_path for logger in loggers.values())
