# `make demo` and `make test` each do their own complete set-up. Everything lives in .venv, and
# one server for tests, of npm, in .npm.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
AZURITE_VERSION := 3.37.0
AZURITE := .npm/azurite-$(AZURITE_VERSION)

.DEFAULT_GOAL := help
.PHONY: help setup demo azurite test check format lock docs test-faults test-gpu clean

help: ## Show this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## Make .venv and install the exact versions of the lock file

$(READY): pyproject.toml constraints.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tenfold needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.lock --editable '.[dev,docs]'
	@touch $(READY)

demo: $(READY) ## Walk the whole loop on real data, under two minutes after the install
	@$(BIN)/tenfold demo

# A server of the protocol of Azure's blobs, for tests; by npm alone, and nowhere but here.
$(AZURITE):
	@if command -v npm >/dev/null; then mkdir -p .npm && npm install --prefix .npm --no-audit --no-fund \
	  --ignore-scripts --silent azurite@$(AZURITE_VERSION) && touch $@; \
	else echo "npm is not installed: tests of Azure's store are skipped"; fi

azurite: $(AZURITE) ## The server that tests of Azure's store talk to

# Where an image forbids bytecode, some 600 processes of the suite would each compile all they import.
test: $(READY) $(AZURITE) ## The default test suite, under 15 minutes on two cores
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 2

check: $(READY) ## Formatter, linter, strict types, import contracts, doctests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet --doctest-modules platform jobs serve

format: $(READY) ## Let the formatter and the linter mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-%: $(READY) ## A side-by-side comparison, e.g. bench-monitor; writes benchmarks/results
	$(BIN)/python benchmarks/bench_$*.py

test-faults: $(READY) ## Long faults: kills, full disks, soak
	$(BIN)/python -m pytest -m slow

test-gpu: $(READY) ## Fits and answers on a GPU beside the same on CPU, where there is one
	$(BIN)/python -m pytest -m gpu tests/gpu

docs: $(READY) ## Build the guides
	$(BIN)/mkdocs build --strict

lock: ## Write constraints.lock from what .venv holds
	$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable --exclude tenfold | sed -E 's/\+cpu$$//' > constraints.lock
	@! grep -n ' @ ' constraints.lock || { echo "a package came from a file: install it by name"; exit 1; }

clean: ## Remove .venv, .npm and caches
	rm -rf .venv .npm .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache site
