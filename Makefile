# make demo   everything GraftNet does, on scikit-learn's digits; minutes on two cores
# make test   lint, types, arrows and tests
# make docs   the site of docs/, with the reference made from the code: runs/site/index.html
# make wheel  the package built, installed outside the checkout, and the quick demo run from it
# All make what they need first; the stamps skip the installation while setup.cfg stays as it is.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests run side by side, so each process keeps to one thread.
WORKERS ?= 2
FUZZ ?= 2000
DEMO_FOLDER ?= runs/demo
DEMO_OPTIONS ?=
WHEEL_FOLDER ?= runs/wheel

.PHONY: demo test fuzz docs wheel lint types arrows pytest format clean help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core
	$(BIN)/graftnet demo --folder $(DEMO_FOLDER) $(DEMO_OPTIONS)

test: lint types arrows pytest

# Strict: a warning, such as of a link that leads nowhere, is an error. The variable silences the theme's own advertisement.
docs: $(VENV)/.dev
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site: runs/site/index.html"

# An environment of its own, so that nothing of the checkout helps; build/ of an earlier time would leave its files in.
wheel:
	rm -rf build $(WHEEL_FOLDER)
	$(PYTHON) -m venv $(WHEEL_FOLDER)/env
	$(WHEEL_FOLDER)/env/bin/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir $(WHEEL_FOLDER) .
	$(WHEEL_FOLDER)/env/bin/python -m pip install --disable-pip-version-check --quiet $(WHEEL_FOLDER)/graftnet-*.whl
	cd $(WHEEL_FOLDER) && env/bin/graftnet demo --quick --folder digits
	cd $(WHEEL_FOLDER) && env/bin/python digits/runs/exports/bundle/runtime.pyz verify digits/runs/exports/bundle

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

arrows: $(VENV)/.dev
	$(BIN)/lint-imports

pytest: $(VENV)/.dev
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

fuzz: $(VENV)/.dev
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 FUZZ=$(FUZZ) \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/fuzz

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
