# make demo · quick · test · lint · fuzz · load · faults · bench · accuracy · weights · lock. Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
BIOME := node_modules/.bin/biome
RUN_BIOME := PATH="$(abspath $(BIN)):$$PATH" $(BIOME)
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
QUICK := $(addprefix tests/test_,camera.py checkpoint.py configuration.py cutdepth.py datasets.py export.py figures.py geometry.py \
	imports.py losses.py map.py metrics.py photo.py video.py web_choices.py web_handlers.py web_picker.py web_store.py zoo.py)

.PHONY: demo quick test lint format fuzz load faults bench accuracy weights screenshots lock

demo: $(VENV)/.runtime
	$(BIN)/python app.py --open

test: $(VENV)/.development $(BIOME)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The inner loop: no browser, no server, no large network.
quick: $(VENV)/.development
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not browser" $(QUICK)

lint: $(VENV)/.development $(BIOME)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/typos
	$(BIN)/mypy
	$(RUN_BIOME) ci --colors=off

format: $(VENV)/.development $(BIOME)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(RUN_BIOME) check --write

# Formatter and linter of the page's scripts and styles, and the validator of glTF files that a test asks.
$(BIOME): package.json $(VENV)/.development
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	touch $@

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.geometry
	$(BIN)/python -m benchmarks.speed

# Some 900 hostile files through library, command line and page; what breaks a promise is kept in artifacts/fuzz.
fuzz: $(VENV)/.development
	$(BIN)/python -W ignore -m benchmarks.fuzz
	if $(BIN)/python -c "import atheris" 2>/dev/null; then $(BIN)/python -m benchmarks.fuzz_atheris; fi

# The real page under twenty visitors, then under twenty that flood it: SECONDS_OF_LOAD each, 20 minutes in all. On a busy
# machine: make load SECONDS_OF_LOAD=90.
SECONDS_OF_LOAD ?= 300
load: $(VENV)/.development
	$(BIN)/python -m benchmarks.load --seconds $(SECONDS_OF_LOAD)

# Processes killed, disk, memory and descriptors used up, files replaced, the clock turned: about ten minutes.
faults: $(VENV)/.development
	$(BIN)/python -W ignore -m benchmarks.faults

accuracy: $(VENV)/.development
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.rendered

# From scratch to the embedded model: hours on two cores. Stopped, it continues where it was; the result is in
# artifacts/rooms-b0/model.
weights: $(VENV)/.development
	OMP_NUM_THREADS=2 $(BIN)/python -m glpn train --recipe recipes/rooms-b0.toml --out artifacts/rooms-b0 --workers 2

screenshots: $(VENV)/.development
	$(BIN)/python -m benchmarks.screenshots

# All versions with their hashes, but for torch: its CPU and CUDA builds differ in hashes and in what they need, so that it
# comes afterwards, by the version in requirements.txt.
LOCK_HEADER = \# All that the runtime needs but torch, for Linux, macOS and Windows. `make lock` renews it; see the Makefile.
lock: | $(VENV)/bin/python
	$(PIP) install uv==0.13.9
	$(BIN)/uv pip compile requirements.txt --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --unsafe-package torch --no-emit-package torch \
		| awk 'BEGIN {print "$(LOCK_HEADER)"} /^[^ ]/ {cuda = /^(nvidia|cuda)-|^triton=/} !cuda' > requirements.lock.new
	mv requirements.lock.new requirements.lock

$(VENV)/.runtime: requirements.txt requirements.lock | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install -r requirements.txt
	touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.txt
	$(PIP) install -r requirements-dev.txt
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
