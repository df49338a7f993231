# Everything here sets up what it needs first: `make demo` and `make test` work right after `git clone`.
.DEFAULT_GOAL := help
.PHONY: help demo test setup lint types layers unit docs reference wheel lock format clean
MAKEFLAGS += --no-print-directory
# The tests start thousands of processes, each of which would otherwise compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
READY := .venv/.complete
# Three test processes on the two cores of the smallest machine that we know: a sixth of the tests' time is waiting for
# processes that start, and for deadlines.
WORKERS ?= 3

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## three minutes that show what vla-bench does
	@scripts/setup.sh system
	@$(BIN)/vla-bench demo

test: $(READY) ## every check: lint, types, layers, tests, the built wheel, docs
	@scripts/setup.sh system test
	@scripts/setup.sh suites
	@$(MAKE) lint types layers unit docs

setup: $(READY) ## set up and run nothing
	@scripts/setup.sh system test
	@scripts/setup.sh suites

lint: $(READY) ## ruff (rules and format), shellcheck where it is installed
	@echo "lint: ruff"
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@if command -v shellcheck >/dev/null; then echo "lint: shellcheck"; shellcheck scripts/*.sh .ci/run; fi

types: $(READY) ## mypy, strict
	@echo "types: mypy --strict"
	@$(BIN)/mypy

layers: $(READY) ## the import contracts
	@echo "layers: import-linter"
	@$(BIN)/lint-imports --no-logo --no-cache

unit: $(READY) ## all tests that this machine can run, the built wheel's among them
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "slow or not slow" $(ARGS)

wheel: $(READY) ## only the tests against the built wheel
	@$(BIN)/python -m pytest -q -m "slow or not slow" tests/test_wheel.py

docs: $(READY) ## the documentation site, in site/
	@echo "docs: zensical build --strict"
	@$(BIN)/zensical build --strict --clean

reference: $(READY) ## the reference pages that repeat the code
	@$(BIN)/python scripts/reference.py

format: $(READY) ## format the code and fix what ruff can
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format -q .

lock: ## pin the packages anew (needs the network)
	@$(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 --extra dev \
	  --no-emit-package vla-bench --no-annotate --custom-compile-command "make lock" -o requirements/dev.lock pyproject.toml

clean: ## remove what was built, .venv too
	@rm -rf .venv site dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements/dev.lock pyproject.toml
	@scripts/setup.sh venv
