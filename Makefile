# Everything a developer or a CI machine runs. `make help` lists it; the only needs are python3 (3.11 or newer) and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# More pytest arguments, for example: make test ARGS="tests/kernel -k cursor"
ARGS ?=
# Test processes. Each takes about 300 MB and one core, or what a virtual machine calls one.
JOBS ?= logical
SOURCES := app bench migrations tests tools
export UV_PYTHON_DOWNLOADS := never
# Compiled modules are kept, whatever the caller thinks of them: a start takes a third of the time.
unexport PYTHONDONTWRITEBYTECODE

CHECKS := check-lint check-format check-types check-imports check-migrations check-openapi check-openapi-lint

.PHONY: help install run test check $(CHECKS) format bench bench-assignment lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

install: ## Create .venv from the lock file (does nothing when it is up to date)
	@$(PYTHON) tools/install.py

run: install ## Start everything: PostgreSQL, API, worker, demo company, on http://127.0.0.1:8000
	@exec $(BIN)/rapport up

test: install ## Run the whole suite on a real PostgreSQL (ARGS="…" for pytest, JOBS=n processes)
	@$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install $(CHECKS) ## Run every check that is not a test

check-lint: install ## ruff
	$(BIN)/ruff check $(wildcard $(SOURCES))

check-format: install ## ruff format
	$(BIN)/ruff format --check $(wildcard $(SOURCES))

check-types: install ## mypy, strict
	$(BIN)/mypy

check-imports: install ## Import contracts: kernel < tenants < modules < main, modules through interfaces only
	$(BIN)/lint-imports --no-logo

check-migrations: install ## Migrations are safe under live traffic (squawk over their SQL)
	$(BIN)/python tools/check_migrations.py

check-openapi: install ## The committed OpenAPI document is what the code serves
	$(BIN)/rapport openapi export --check

check-openapi-lint: install ## Redocly and Spectral over openapi/openapi.json
	$(BIN)/python tools/openapi-lint/run.py

format: install ## Format the code and sort its imports
	$(BIN)/ruff check --fix-only --select I $(wildcard $(SOURCES))
	$(BIN)/ruff format $(wildcard $(SOURCES))

bench: install ## Measure speed against the raw limit; writes bench/results
	$(BIN)/rapport bench $(ARGS)

bench-assignment: install ## Optimised assignment against published instances (ARGS="--seconds 3 --instances d05100,e10100")
	@$(BIN)/python -m bench.assignment $(ARGS)

# No index and no annotation in the lock files, so that they name no host and install from any index.
LOCKING := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url $(UPGRADE)
lock: install ## Lock the dependencies again (UPGRADE=--upgrade takes new versions)
	$(LOCKING) pyproject.toml -o requirements.lock
	$(LOCKING) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environment, caches and the embedded database's test data (never var, your own data)
	rm -rf .venv .install.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tools/openapi-lint/node_modules
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
