from pathlib import Path

import pytest

from visionkit.datasets import text_files
from visionkit.datasets.text_files import read_rows, read_text
from visionkit.errors import DataError


def test_text_with_and_without_a_mark_and_of_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for data, text in ((b"", ""), ("\ufeffä".encode(), "ä"), ("ä\n".encode(), "ä\n")):
        path.write_bytes(data)
        assert read_text(path) == text


@pytest.mark.parametrize(("data", "code"), [(b"\xff\xfe", "D120"), (b"12345", "D134")])
def test_text_that_cannot_be_used(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(DataError, match=code):
        read_text(tmp_path / "a.txt", limit_bytes=4)
    with pytest.raises(DataError, match="D10"):
        read_text(tmp_path / "none.txt")


def test_rows_know_their_lines(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('x\ty "z\r\n\r\n1\t2')
    assert list(read_rows(tmp_path / "a.tsv")) == [(1, ["x", 'y "z']), (3, ["1", "2"])]
    (tmp_path / "a.csv").write_text('x,"a,\nb"\n1,2\n')
    assert list(read_rows(tmp_path / "a.csv")) == [(2, ["x", "a,\nb"]), (3, ["1", "2"])]


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge.tsv").open("wb") as file:
        file.truncate(text_files.MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(DataError, match="D134"):
        list(read_rows(tmp_path / "huge.tsv"))
