# Each target is what one would type anyway; all but `help` run `setup` when it is needed.
PYTHON ?= python3
# Which extras of pyproject.toml to install; tests of the others are skipped, and say so.
EXTRAS ?= dev
BIN := .venv/bin
SETUP := .venv/.with-$(EXTRAS)

.PHONY: help setup demo test lint fix bench docs
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' Makefile

setup: $(SETUP)  ## the environment, in .venv
$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tamis needs Python 3.11 or newer; name one: make setup PYTHON=python3.11"; exit 2; }
	@echo "Setting up .venv: a minute or two, once."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(SETUP)  ## curate the sample in data/, and say what was kept and why
	@$(BIN)/tamis run curate --pool data/instructions.jsonl.zst --target data/seed_tasks.jsonl --k 1000

test: $(SETUP)  ## every test, two files at a time: each hand starts servers of its own
	@$(BIN)/pytest -n 2 --dist loadfile

lint: $(SETUP)  ## style, types and the import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: $(SETUP)  ## mend what the linters can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(SETUP)  ## speed and memory beside the peers
	@$(BIN)/python -m benchmarks

docs: $(SETUP)  ## the reference, into site/
	@$(BIN)/python docs/reference.py
