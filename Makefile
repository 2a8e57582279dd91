# make demo · test · lint · bench · accuracy · weights. Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench accuracy weights screenshots

demo: $(VENV)/.runtime
	$(BIN)/python app.py --open

test: $(VENV)/.development
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.geometry
	$(BIN)/python -m benchmarks.speed

accuracy: $(VENV)/.development
	$(BIN)/python -m benchmarks.accuracy

# From nothing to the embedded model: hours on two cores. Stopped, it goes on where it was; the result is in
# artifacts/rooms-b0/model.
weights: $(VENV)/.development
	OMP_NUM_THREADS=2 $(BIN)/python -m glpn train --recipe recipes/rooms-b0.toml --out artifacts/rooms-b0 --workers 2

screenshots: $(VENV)/.development
	$(BIN)/python -m benchmarks.screenshots

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
