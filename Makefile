VENV ?= .venv
PYTHON ?= python3
CORPUS ?= corpora/samples
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install test test-slow test-gpu test-arm lint format types bench plot ci clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## install for development into a new .venv
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install -c constraints.txt -e '.[dev]'

test: ## run the tests
	$(BIN)/pytest

test-slow: ## run the tests that take minutes
	$(BIN)/pytest -m slow

test-gpu: ## run the tests that need a GPU
	$(BIN)/pytest -m gpu

test-arm: ## decode and encode on an emulated ARM64 and compare (Debian, qemu-user-static; an hour or more)
	PYTHON=$(BIN)/python tests/arm/run.sh

lint: ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: ## check the types of the package as it gets installed
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --target build/types .
	cd build/types && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p lmzip

bench: ## measure the text files in CORPUS (make bench CORPUS=folder)
	$(BIN)/python benchmarks/text.py $(CORPUS)

plot: ## draw the README's plot from the committed results
	$(BIN)/python benchmarks/plot.py

ci: ## do all that CI does, in a fresh virtual environment
	.ci/run

clean: ## remove builds, caches and reports; keep .venv
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find lmzip coders models tests benchmarks corpora -name __pycache__ -type d -prune -exec rm -rf {} +
