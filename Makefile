# make demo, make test: both create what they need first. Settings: VENV, PYTHON, THREADS, JOBS, ARGS.

VENV ?= .venv
PYTHON ?= python3
THREADS ?= 1
JOBS ?= 2
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOWEST := $(VENV)-lowest
TESTS_OF_LOWEST := $(addprefix tests/,agents costs envs tasks delivery/test_export.py delivery/test_quantized_export.py delivery/test_compact.py \
	devices/test_runtimes.py experiments/test_bad_input.py experiments/test_report.py)

export OMP_NUM_THREADS := $(THREADS)
export MKL_NUM_THREADS := $(THREADS)
export OPENBLAS_NUM_THREADS := $(THREADS)

.PHONY: help install demo test test-random test-slow test-lowest test-all lint format

help:
	@echo "make demo       train an agent on a small network and compare it with uniform pruning"
	@echo "make test       the quick tests, in two processes"
	@echo "make test-random  the property tests on examples drawn anew"
	@echo "make test-slow  the tests that take more than ten seconds each"
	@echo "make test-lowest  a small demo and some tests with the lowest versions that pyproject.toml allows"
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
	$(BIN)/python -m pytest -m slow -n $(JOBS) $(ARGS)

# torch is the pinned one: its lowest builds are not to be had everywhere. uv takes the installed one, once it is named.
test-lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --no-deps uv torch -c constraints.txt
	$(LOWEST)/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct -c $(LOWEST)/torch.txt -e '.[dev]'
	$(LOWEST)/bin/rlprune demo --episodes 20 --out $$(mktemp -d)/demo
	$(LOWEST)/bin/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(TESTS_OF_LOWEST) $(ARGS)

test-all: $(INSTALLED)
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
