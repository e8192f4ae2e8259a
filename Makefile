.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CONFIG ?= digits
CIFAR10 ?= data/cifar10

.PHONY: help install run report test test-all test-oracle test-browser endurance lint bench bench-peers clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run  ## the whole recipe on the bundled digits (CONFIG=... for another config)
	$(BIN)/hpsearch run $(CONFIG)

report: $(VENV)/.run  ## the tables of that run again
	$(BIN)/hpsearch report $(CONFIG)

test: lint  ## lint, types and the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: lint  ## the slow tests too
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-oracle: $(VENV)/.oracle  ## numbers against PyTorch, scikit-learn, SciPy, Optuna; exports read back
	$(BIN)/python -m pytest tests/oracle

test-browser: $(VENV)/.browser  ## the report in a real browser (skipped where there is no Chromium)
	$(BIN)/python -m pytest tests/browser

endurance: $(VENV)/.dev  ## kills, signals, poison, interruptions by the hundred, a soak (docs/promises.md)
	$(BIN)/python tests/kills.py --kills 500
	$(BIN)/python tests/stops.py --signals 300
	$(BIN)/python tests/pairs.py --pairs 100
	$(BIN)/python tests/poisonings.py --trials 100
	$(BIN)/python tests/resumes.py --searches 100
	$(BIN)/python tests/same_bits.py
	$(BIN)/python tests/mutants.py 100000
	$(BIN)/python tests/soak.py --trials 5000

lint: $(VENV)/.dev  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## the short benchmarks (benchmarks/README.md tells of the others)
	$(BIN)/python -m benchmarks short

bench-peers: $(VENV)/.bench  ## whole searches against scikit-learn and PyTorch (CIFAR10=folder)
	$(BIN)/python -m benchmarks search
	$(if $(wildcard $(CIFAR10)),$(BIN)/python -m benchmarks search --dataset cifar10 --data $(CIFAR10))

install: $(VENV)/.dev  ## everything a developer needs, into .venv

clean:  ## remove .venv and the caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[images]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.oracle: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev,oracle]'
	@touch $@ $(VENV)/.dev $(VENV)/.run

$(VENV)/.browser: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev,browser]'
	@touch $@ $(VENV)/.dev $(VENV)/.run

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev,bench]'
	@touch $@ $(VENV)/.oracle $(VENV)/.dev $(VENV)/.run
