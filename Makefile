# Each target makes .venv first if it is missing; PYTHON chooses another interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export WANDB_SILENT ?= true
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help install quickstart test test-all lint bench

help:
	@echo "make quickstart   one encoder, five tasks: train, evaluate, report, export, predict; minutes on two cores"
	@echo "make test         the tests that take minutes; VISIONKIT_DATA=DIR adds those on real data"
	@echo "make test-all     all tests, the long ones too"
	@echo "make lint         ruff and mypy"
	@echo "make bench        every speed claim, measured beside its alternative"

install: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

quickstart: $(VENV)/.ready
	$(BIN)/python train.py experiment=multitask/quickstart run=runs/quickstart resume=auto
	$(BIN)/visionkit predict runs/quickstart/bundle runs/quickstart/samples --out runs/quickstart/predictions

test: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder -m "not slow" --durations=10

test-all: $(VENV)/.ready
	$(BIN)/python -m pytest --durations=20

lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done
