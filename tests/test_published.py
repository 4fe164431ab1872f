import re
from collections import Counter
from pathlib import Path

import pytest

from visionkit.cli import run
from visionkit.config import options
from visionkit.published import agrees, published, size


def rows() -> list:  # type: ignore[type-arg]
    """All; of a family with many, every eighth is enough for the quick tests."""
    families = Counter(re.match("[a-z]+", file.stem)[0] for file in published())  # type: ignore[index]
    seen: Counter[str] = Counter()
    found = []
    for file in published():
        family = re.match("[a-z]+", file.stem)[0]  # type: ignore[index]
        quick = families[family] < 12 or seen[family] % 8 == 0
        seen[family] += 1
        found.append(pytest.param(file, id=file.stem, marks=() if quick else pytest.mark.slow))
    return found


@pytest.mark.parametrize("file", rows())
def test_every_published_network_has_the_published_size_or_says_why_not(file: Path) -> None:
    found = size(file)
    assert found.published_parameters
    assert agrees(found.parameters, found.published_parameters) or found.note
    assert agrees(found.macs, found.published_macs) is not False or found.note


@pytest.mark.parametrize(
    ("ours", "text", "same"),
    [(30_249_064, "30M", True), (30_600_000, "30M", False), (4.876e9, "4.9G", True), (4.84e9, "4.9G", False)],
)
def test_a_figure_agrees_to_the_precision_of_its_text(ours: float, text: str, same: bool) -> None:
    assert agrees(ours, text) is same


def test_nothing_published_agrees_with_nothing() -> None:
    assert agrees(1.0, None) is None


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    vim = [file for file in published() if file.stem == "vim_tiny"]
    monkeypatch.setattr("visionkit.published.published", lambda: vim)
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["list", "encoders", "--parameters"]) == 0
    out = capsys.readouterr().out
    assert "vim_tiny" in out
    assert "7.148 M" in out
    assert "equal" in out


def test_published_figures_are_no_option_to_choose(capsys: pytest.CaptureFixture[str]) -> None:
    run(["list"])
    assert "published=" not in capsys.readouterr().out
    assert "mamba_tiny" in options("encoder")
