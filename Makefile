# Everything runs in .venv, which each target makes as needed. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
# Tests and benchmarks find what `make data` has fetched
ifneq ($(wildcard .data/mnist),)
TINYSIGHT_DATA ?= $(CURDIR)/.data
export TINYSIGHT_DATA
endif

.PHONY: demo quick test attack coverage lowest check data bench bench-full pretrained clean

demo: .venv/train  ## Train on 1,797 handwritten digits, no download
	$(BIN)/tinysight train digits --recipe fast --out runs/demo --overwrite

quick: .venv/dev  ## Run the tests that take a second or two each, in about a minute
	$(BIN)/pytest -m "not slow"

test: .venv/dev  ## Run every test, on up to four cores
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

attack: .venv/dev  ## Attack files and requests for longer than the tests do; takes several minutes
	ATTACK_ROUNDS=20 $(BIN)/pytest tests/attacks

coverage: .venv/dev  ## Run every test, and count which lines were run
	$(BIN)/pytest --cov

lowest: .venv-lowest  ## Run the quick tests with the oldest versions that pyproject.toml allows
	.venv-lowest/bin/pytest -m "not slow"

check: .venv/dev  ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

data: .venv/dev  ## Download MNIST and Fashion-MNIST for tests and benchmarks (42 MB)
	$(BIN)/python scripts/fetch_data.py

bench: .venv/bench  ## Measure against other ways to do the same
	$(BIN)/python -m benchmarks

bench-full: .venv/bench  ## Every benchmark; takes hours
	$(BIN)/python -m benchmarks --full

.venv/train .venv/dev .venv/bench: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(@F)]'
	touch $@

.venv-lowest: pyproject.toml
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check uv
	$@/bin/uv pip install --quiet --python $@ --resolution lowest-direct --editable '.[dev]'
	touch $@

pretrained: .venv/train  ## Train anew the classifier that comes with the package
	$(BIN)/python scripts/pretrain.py

clean:  ## Remove what the other targets made, but not the data
	rm -rf .venv .venv-lowest runs dist htmlcov .coverage
