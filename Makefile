.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test faults upgrade cgroup2 check bench unit format pins clean
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything needed, versions and hashes pinned

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (about half a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Start a fleet, run real jobs, show what they cost, stop
	@SCRIPTFLEET_HOME=$(CURDIR)/.scriptfleet/demo SCRIPTFLEET_REDIS_URL= SCRIPTFLEET_DATABASE_URL= $(BIN)/scriptfleet up --demo --once

test: $(STAMP) ## Every test that needs no root; parts that are missing are started by the tests
	@$(BIN)/pytest -n 2 --dist loadfile

faults: $(STAMP) ## The fault suite with 1,000 jobs each and outages of a minute (half an hour; parts need root)
	@$(BIN)/pytest -q tests/faults --faults-size full --timeout 1200

upgrade: $(STAMP) ## Workers, server and client of an older commit beside this one's (1 min; needs git history)
	@$(BIN)/pytest -q tests/upgrade

cgroup2: $(STAMP) ## The engine on control groups v2, in an emulated machine (45 s; needs qemu)
	@$(BIN)/python -m tests.emulated

unit: $(STAMP) ## Tests without servers, in seconds
	@$(BIN)/pytest -q tests/unit tests/architecture

check: $(STAMP) ## Format, lint, types, import contracts, architecture
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/unit tests/architecture

format: $(STAMP) ## Put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## Figures beside named peers, in one run; JSON in benchmarks/out
	@$(BIN)/python -m benchmarks

pins: ## Renew requirements/dev.txt from pyproject.toml and requirements/dev.in (needs uv)
	uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  --all-extras pyproject.toml requirements/dev.in -o requirements/dev.txt

clean: ## Remove what make made
	rm -rf $(VENV) .scriptfleet .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/out
