"""Two processes see every sample once and agree with one process, however few samples there are."""

import json
import os
import socket
from pathlib import Path

import forked
import pytest
import torch
from torch.multiprocessing import start_processes
from toys import toy_datamodule, toy_module, toy_trainer

pytestmark = pytest.mark.early
LENGTHS = range(1, 10)


def evaluate(length: int, folder: Path, **options: object) -> dict[str, torch.Tensor]:
    datamodule = toy_datamodule(length)
    module = toy_module(datamodule)
    trainer = toy_trainer(folder, **options)
    trainer.validate(module, datamodule=datamodule, verbose=False)
    logged = {key: value for key, value in trainer.callback_metrics.items() if not key.endswith("nan")}
    return {**module.results["val"]["segmentation"], **logged}


def one_of_two(rank: int, port: int, folder: str) -> None:
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    for length in LENGTHS:
        found = evaluate(length, Path(folder), devices=2, strategy="ddp")
        torch.save(found, Path(folder) / f"{length}-{rank}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(one_of_two, args=(port, str(folder)), nprocs=2, start_method=forked.START_METHOD)
    return folder


@pytest.mark.parametrize("length", LENGTHS)
def test_metrics_equal_those_of_one_process(length: int, two: Path, tmp_path: Path) -> None:
    alone = evaluate(length, tmp_path)
    for rank in range(2):
        found = torch.load(two / f"{length}-{rank}.pt")
        assert found.keys() == alone.keys()
        for key, value in alone.items():
            torch.testing.assert_close(found[key].double(), value.double(), atol=1e-6, rtol=0, equal_nan=True, msg=key)
    assert int(alone["confusion"].sum()) == length * 20 * 28


def test_two_processes_train_through_the_command_and_leave_one_run(tmp_path: Path) -> None:
    words = ["experiment=segmentation/quickstart", "encoder.model=test_resnet", "callbacks=default", "~callbacks.ema"]
    words += [
        "+tasks.segmentation.decoder.widths=[16,8]",
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "trainer.precision=null",
    ]
    words += ["trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "dataset.batch_size=4", "logger=local"]
    words += ["dataset.layout.length={train: 18, val: 3, test: 5}", "run=run"]
    done = forked.train(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder: run") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("step_*")] == ["step_00000002.ckpt"]
    figures = json.loads((tmp_path / "run/evaluation/test/metrics.json").read_text())["metrics"]["segmentation"]
    assert sum(map(sum, figures["confusion"])) == 5 * 96 * 96
