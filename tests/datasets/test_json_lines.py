"""Names in files of JSON lines, which are found without reading each line as JSON."""

import json
from pathlib import Path

import pytest

from visionkit.datasets.json_lines import JsonLines

NAMES = ["plain.png", "caf\u00e9.png", "\U0001f4c4.png", 'a "b".png', "back\\slash.png", "a/b.png", "tab\there.png"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_names_are_those_that_json_reads(tmp_path: Path, ascii_only: bool) -> None:
    rows = [json.dumps({"split": "train", "filename": name, "html": {}}, ensure_ascii=ascii_only) for name in NAMES]
    rows[5] = rows[5].replace("a/b", r"a\/b")
    (tmp_path / "lines.jsonl").write_text("\n".join(rows), encoding="utf-8")
    lines = JsonLines.of(tmp_path / "lines.jsonl")
    assert [line.filename for line in lines.lines["train"]] == NAMES
    assert [json.loads(row)["filename"] for row in rows] == NAMES


@pytest.mark.parametrize("written", [r"a\qb.png", r"a\ud800.png", r"a\u0000.png", r"a\u12.png"])
def test_what_is_no_name_stays_as_it_is_written(tmp_path: Path, written: str) -> None:
    (tmp_path / "lines.jsonl").write_text(f'{{"split": "val", "filename": "{written}"}}\n')
    (line,) = JsonLines.of(tmp_path / "lines.jsonl").lines["val"]
    assert line.filename == written
