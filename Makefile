# make tutorial: set up and run the tutorial's batch · make test: what CI runs · make check: the fast part, while editing
# make test-long: the longest · make test-ray: on clusters · make test-viewer: traces in Phoenix · make test-azure: Azure's evaluate
# make test-llm: with a real language model · make chat-llm: talk to it
SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?= python3
unexport PYTHONDONTWRITEBYTECODE  # uv leaves compiling to Python, and a program that may not keep it compiles for seconds

# uv installs in a quarter of the time; pip where uv cannot, for instance behind an index that only pip's settings know.
define install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	UV_SYSTEM_CERTS=1 $(BIN)/uv pip install --quiet --python .venv --requirement $(1) || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(1)
endef

# A program beside ours, whose packages would not go with ours, in a virtual environment of its own.
define install-beside
	$(PYTHON) -m venv .venv/$(1)
	UV_SYSTEM_CERTS=1 $(BIN)/uv pip install --quiet --python .venv/$(1) $(2) --requirement tests/requirements-$(1).txt || \
	.venv/$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2) --requirement tests/requirements-$(1).txt
endef

# The files that take longest go first, so that no process is left alone with one of them at the end.
LONGEST := $(patsubst %,tests/test_%.py,readme service install survival repairs report exporting engines simulations)

.PHONY: tutorial test test-long test-ray test-viewer test-azure test-llm chat-llm check bench bench-peers bench-ray clean

TUTORIAL := $(BIN)/python batch.py --data data.jsonl --engine promptflow
tutorial: .venv/installed
	$(TUTORIAL)

# What is tested with packages of its own has a target of its own.
HERE := not ray and not viewer and not azure and not llm
test: TESTS := -m "not long and $(HERE)" -n 4 --no-loadscope-reorder $(LONGEST) $(filter-out $(LONGEST),$(wildcard tests/test_*.py))
check: TESTS := -m "not slow and $(HERE)" -n 2 --hypothesis-profile quick
test: FIRST := $(TUTORIAL) &&
test check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy & types=$$!; \
	$(FIRST) $(BIN)/python -m pytest --dist loadfile $(TESTS); tests=$$?; \
	wait $$types && exit $$tests

test-long: .venv/installed-dev
	$(BIN)/python -m pytest -m long -n 2

test-ray: .venv/installed-ray
	$(BIN)/python -m pytest -m ray -n 2 tests/test_cluster.py tests/test_storage.py

test-viewer: .venv/installed-viewer
	$(BIN)/python -m pytest -m viewer tests/test_viewer.py

test-azure: .venv/installed-azure
	$(BIN)/python -m pytest -m azure tests/test_azure.py

test-llm: .venv/installed-dev .venv/installed-llm
	$(BIN)/python -m pytest -m llm tests/test_real_model.py

chat-llm: .venv/installed .venv/installed-llm
	.venv/llm/bin/python tests/real_model.py $(BIN)/python flow.py

bench-peers: .venv/installed-dev
	$(BIN)/python -m benchmarks.peer_table
	$(BIN)/python -m benchmarks.peer_runs

bench-ray: .venv/installed-ray
	$(BIN)/python -m benchmarks.cluster_runs

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.batch_runs
	$(BIN)/python -m benchmarks.limits
	$(BIN)/python -m benchmarks.traces
	$(BIN)/python -m benchmarks.serving

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(call install,requirements.txt)
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(call install,requirements-dev.txt)
	touch $@

.venv/installed-ray: requirements-ray.txt .venv/installed-dev
	$(call install,requirements-ray.txt)
	touch $@

.venv/installed-viewer .venv/installed-azure: .venv/installed-%: tests/requirements-%.txt .venv/installed-dev
	$(call install-beside,$*)
	touch $@

.venv/installed-llm: tests/requirements-llm.txt .venv/installed
	$(call install-beside,llm,--no-deps)
	touch $@

clean:
	rm -rf .venv .bench out .mypy_cache .pytest_cache .ruff_cache .hypothesis
