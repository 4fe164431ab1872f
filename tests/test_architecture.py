"""Imports go down only, and only config.py builds from names: proved from the code's own imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "visionkit"
FLOORS = [
    {"types", "labels", "errors", "seeding"},
    {"config", "files", "memory", "drawing", "inference", "schedules"},
    {"layers"},
    {"planes"},
    {"encoders", "decoders", "generation", "losses", "metrics", "text"},
    {"tasks", "datasets", "multitask", "baselines"},
    {"network"},
    {
        "module",
        "datamodule",
        "checkpoint",
        "run_config",
        "runs",
        "bundle",
        "prediction",
        "reports",
        "callbacks",
        "loggers",
    },
    {
        "assemble",
        "autobatch",
        "exporting",
        "judging",
        "learnt_labels",
        "procedures",
        "published",
        "selection",
        "warm_start",
    },
    {"launch", "commands", "cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.stat().st_size and path != PACKAGE / "__init__.py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in FILES} <= set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "visionkit" and len(parts) > 1:
            assert FLOOR[parts[1]] <= FLOOR[room_of(path)], f"{path.name} imports {name} from above"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_tasks_and_losses_know_no_concrete_encoder_or_decoder(path: Path) -> None:
    if room_of(path) in {"tasks", "losses", "metrics", "multitask", "network", "module"}:
        assert not [name for name in imported(path) if name.startswith(("visionkit.encoders", "visionkit.decoders"))]


def test_only_config_instantiates() -> None:
    users = [path.name for path in FILES if "hydra.utils" in set(imported(path)) or "instantiate(" in path.read_text()]
    assert users == ["config.py"]


def test_only_module_is_a_lightning_module() -> None:
    definers = [
        path.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any("LightningModule" in ast.unparse(base) for base in node.bases)
    ]
    assert definers == ["module.py"]


def test_packages_are_empty() -> None:
    inits = [path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert [path for path in inits if path.stat().st_size] == []
