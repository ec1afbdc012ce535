# Everything runs in .venv, which each target makes as needed. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench bench-full pretrained clean

demo: .venv/train  ## Train on 1,797 handwritten digits, no download
	$(BIN)/tinysight train digits --out runs/demo --overwrite

test: .venv/dev  ## Run every test
	$(BIN)/pytest

check: .venv/dev  ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/bench  ## Measure against other ways to do the same
	$(BIN)/python -m benchmarks

bench-full: .venv/bench  ## Every benchmark; takes hours
	$(BIN)/python -m benchmarks --full

.venv/train .venv/dev .venv/bench: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(@F)]'
	touch $@

pretrained: .venv/train  ## Train anew the classifier that comes with the package
	$(BIN)/python scripts/pretrain.py

clean:  ## Remove what the other targets made
	rm -rf .venv runs
