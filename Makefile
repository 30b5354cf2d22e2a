# Each target is what one would type anyway; all but `setup` run `setup` when it is needed.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.installed

.PHONY: setup demo test lint fix bench docs
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */  make \1|/' | column -t -s '|'

setup: $(SETUP)  ## the environment, in .venv
$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tamis needs Python 3.11 or newer; say which: make PYTHON=python3.11 setup"; exit 2; }
	@echo "Setting up .venv; this takes a minute or two, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(SETUP)  ## curate the sample in data/ and say what was kept and why
	@$(BIN)/tamis demo

test: $(SETUP)  ## every test
	@$(BIN)/pytest

lint: $(SETUP)  ## style, types and the import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: $(SETUP)  ## mend what the linters can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(SETUP)  ## speed and memory beside the peers
	@$(BIN)/python -m benchmarks

docs: $(SETUP)  ## the reference, into site/
	@$(BIN)/pdoc --docformat numpy --output-directory site tamis
