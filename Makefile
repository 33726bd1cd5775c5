# make install | demo | up | test | check | nightly | versions | audit | bench-install | lock
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: install demo up test check nightly versions audit bench-install lock clean
install: $(VENV)/installed

# What running needs; `make install` adds what developing needs. A stamp is newer than the lock whose packages are
# installed.
$(VENV)/running: requirements-run.lock pyproject.toml
	@echo "Installing what running needs: about 270 MB, about a minute ..."
ifneq ($(UV),)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) pip install --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements-run.lock 2>&1 | sed '/^ /d'
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-run.lock | sed -nE 's/^ *((Downloading|Using cached|Installing) [^ ]*).*/  \1/p'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@

$(VENV)/installed: requirements.lock $(VENV)/running
	@echo "Installing what developing and testing need: 400 MB more ..."
ifneq ($(UV),)
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements.lock
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
endif
	@touch $@

demo: $(VENV)/running
	@$(BIN)/import-pipeline demo

up: $(VENV)/running
	@$(BIN)/import-pipeline up

# Each worker, and most processes that a test starts, load the package; compiled, it loads faster.
COMPILE := $(BIN)/python -m compileall -q -j 0 import_pipeline source_api import_pipeline_tests/support
PYTEST := $(BIN)/pytest -n 4 --dist loadfile

test: install
	@$(COMPILE)
	$(PYTEST) --no-loadscope-reorder

nightly: install
	@$(COMPILE)
	$(PYTEST) --no-loadscope-reorder -m "nightly or not nightly"
	$(PYTEST) -p randomly import_pipeline_tests/unit  # in random order
	$(MAKE) versions

# Test the wheel on each supported Python, with the lowest and the newest versions of its dependencies. Needs uv.
versions: install
	$(BIN)/python scripts/versions.py

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_house.py

# Check all locked packages for known vulnerabilities. A package that cannot be checked counts as a failure.
audit: install
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements.lock -r deploy/requirements.lock

# Three locks: the packages for development, those of running, and those of a production image.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --custom-compile-command "make lock"
# Libraries that the benchmarks compare the limiter with; dlt, which pins others, has an environment of its own.
DLT := 'dlt[duckdb]==1.31.0'
bench-install: install
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)/bench
	$(UV) pip install --quiet --python $(VENV)/bench/bin/python $(DLT)
	$(UV) pip install --quiet --python $(BIN)/python 'pyrate-limiter>=4.5,<5' 'aiolimiter>=1.3,<2' 'tenacity>=9,<10'
else
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install --quiet --disable-pip-version-check $(DLT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pyrate-limiter>=4.5,<5' 'aiolimiter>=1.3,<2' 'tenacity>=9,<10'
endif

lock:
	$(LOCK) --group test --group check --group build --group dev --extra celery -o requirements.lock pyproject.toml
	$(LOCK) --group build -c requirements.lock -o requirements-run.lock pyproject.toml
	$(LOCK) --group build --extra k8s -c requirements.lock -o deploy/requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .import_pipeline
