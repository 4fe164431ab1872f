"""Words in LMDB: the usual keys, damaged entries, processes, and the package that may be missing."""

import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from visionkit.datasets.check import check
from visionkit.datasets.text_lmdb import TextLmdb
from visionkit.datasets.text_rules import TextRules
from visionkit.errors import DataError, ResourceError

lmdb = pytest.importorskip("lmdb")


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 20, 3), dtype=np.uint8)


def write(folder: Path, words: list[str], **more: bytes | None) -> None:
    folder.mkdir(parents=True)
    entries: dict[str, bytes | None] = {"num-samples": str(len(words)).encode()}
    for number, word in enumerate(words, 1):
        data = io.BytesIO()
        Image.fromarray(picture(number)).save(data, "PNG")
        entries |= {f"image-{number:09d}": data.getvalue(), f"label-{number:09d}": word.encode()}
    with lmdb.open(str(folder), map_size=2**20) as database, database.begin(write=True) as writing:
        for key, value in {**entries, **more}.items():
            if value is not None:
                writing.put(key.encode(), value)


def test_words_of_each_split(tmp_path: Path) -> None:
    write(tmp_path / "training", ["eins", "zwei"])
    write(tmp_path / "test", ["drei"])
    train, val, test = (TextLmdb(tmp_path, split) for split in ("train", "val", "test"))
    assert [len(words) for words in (train, val, test)] == [2, 0, 1]
    assert (train.key(1), train[1]["text"]) == ("000000002", "zwei")
    assert (train[1]["image"].permute(1, 2, 0).numpy() == picture(2)).all()
    assert train.size(0) == (8, 20)
    assert test.labels == train.labels
    assert set(train.labels["text"].characters) == set("einszwei")
    assert TextLmdb(tmp_path, "train", channels=1)[0]["image"].shape == (1, 8, 20)


def test_several_datasets_and_workers_read_one_database(tmp_path: Path) -> None:
    write(tmp_path / "train", ["eins", "zwei", "drei", "vier"])
    first, second = TextLmdb(tmp_path, "train"), TextLmdb(tmp_path, "train")
    expected = [first[index]["image"] for index in range(4)]
    assert torch.equal(pickle.loads(pickle.dumps(second))[0]["image"], expected[0])
    loader = DataLoader(second, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert all(torch.equal(sample["image"], image) for sample, image in zip(loader, expected, strict=True))
    assert torch.equal(first[3]["image"], expected[3])


def test_damaged_entries_lose_one_word_each(tmp_path: Path) -> None:
    more = {"image-000000002": b"no picture", "label-000000003": "\xe4".encode("latin-1"), "num-samples": b"5"}
    write(tmp_path / "train", ["a", "b", "c", "d"], **more)
    with lmdb.open(str(tmp_path / "train")) as database, database.begin(write=True) as writing:
        writing.delete(b"image-000000004")
    found = [(finding.code, finding.key[-1]) for finding in check(TextLmdb(tmp_path, "train"))]
    assert found == [("D16", "2"), ("D120", "3"), ("D130", "4"), ("D130", "5")]
    with pytest.raises(DataError, match="D130"):
        TextLmdb(tmp_path, "train").size(4)


def test_databases_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="D124"):
        TextLmdb(tmp_path, "train")
    (tmp_path / "train").mkdir()
    (tmp_path / "train/data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="D130"):
        TextLmdb(tmp_path, "train")
    write(tmp_path / "test", ["a"], **{"num-samples": b"many"})
    with pytest.raises(DataError, match=r"D130.*num-samples"):
        TextLmdb(tmp_path, "test", text=TextRules(characters="a"))


def test_without_lmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train", ["a"])
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ResourceError, match=r"R14.*visionkit\[lmdb\]"):
        TextLmdb(tmp_path, "train")
