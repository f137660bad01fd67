# make demo, make test: both create what they need first. Settings: VENV, PYTHON, THREADS, JOBS, ARGS.

VENV ?= .venv
PYTHON ?= python3
THREADS ?= 1
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export OMP_NUM_THREADS := $(THREADS)
export MKL_NUM_THREADS := $(THREADS)
export OPENBLAS_NUM_THREADS := $(THREADS)

.PHONY: help install demo test test-random test-slow test-all lint format

help:
	@echo "make demo       train an agent on a small network and compare it with uniform pruning"
	@echo "make test       the quick tests, in two processes"
	@echo "make test-random  the property tests on examples drawn anew"
	@echo "make test-slow  the tests that take more than ten seconds each"
	@echo "make test-all   every test, with coverage"
	@echo "make lint       ruff and mypy"
	@echo "make format     let ruff rewrite the code"

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/rlprune demo $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-random: $(INSTALLED)
	$(BIN)/python -m pytest -m "hypothesis and not slow" --hypothesis-profile=random $(ARGS)

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow $(ARGS)

test-all: $(INSTALLED)
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
