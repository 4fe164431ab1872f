import os
from pathlib import Path

import pytest
import torch

from visionkit.checkpoint import find, load_checkpoint, save_checkpoint, verified, write_atomically
from visionkit.errors import ConfigError, StorageError, UnsafeFileError

STATE = {"state_dict": {"w": torch.arange(6.0).reshape(2, 3)}, "global_step": 7, "loops": {"a": None, "b": [1, "x"]}}


def test_reads_back_and_plain_torch_reads_it_too(tmp_path: Path) -> None:
    save_checkpoint(STATE, tmp_path / "a.ckpt")
    for loaded in (load_checkpoint(tmp_path / "a.ckpt"), torch.load(tmp_path / "a.ckpt", weights_only=True)):
        assert torch.equal(loaded["state_dict"]["w"], STATE["state_dict"]["w"])
        assert loaded["loops"] == STATE["loops"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_truncation_at_any_byte_is_refused_and_the_one_before_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    save_checkpoint({"step": 1}, folder / "step_00000001.ckpt")
    save_checkpoint({"step": 2}, folder / "step_00000002.ckpt")
    whole = (folder / "step_00000002.ckpt").read_bytes()
    for length in range(len(whole)):
        (folder / "step_00000002.ckpt").write_bytes(whole[:length])
        with pytest.raises(StorageError):
            load_checkpoint(folder / "step_00000002.ckpt")
        if length % 97 == 0:
            assert find(tmp_path, "last").name == "step_00000001.ckpt"
    (folder / "step_00000002.ckpt").write_bytes(whole)
    assert find(tmp_path, "last").name == "step_00000002.ckpt"


def test_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    save_checkpoint(STATE, tmp_path / "a.ckpt")
    whole = bytearray((tmp_path / "a.ckpt").read_bytes())
    for position in range(0, len(whole), 53):
        broken = whole.copy()
        broken[position] ^= 1
        (tmp_path / "a.ckpt").write_bytes(broken)
        assert not verified(tmp_path / "a.ckpt")


class Malicious:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("pwned",))


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint({"x": Malicious()}, tmp_path / "a.ckpt")
    with pytest.raises(UnsafeFileError):
        load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "pwned").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "f", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError):
        write_atomically(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_missing_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such checkpoint"):
        find(tmp_path, "best")
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        find(tmp_path, "last")
