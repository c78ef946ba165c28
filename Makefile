# One command each for: run, test, check, bench. What CI runs is what a person runs.
#
# Everything works on a fresh Debian or Ubuntu with python3 and root or sudo. `make install` makes .venv with the locked
# versions; what is missing of the system is installed with apt-get, and said before it is done.

PYTHON ?= python3
WORKERS ?= 4
SEEDS ?= 20000
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
TYPED := src tests bench

.PHONY: help install tools check format test soak bench demo lock fixtures clean

help: ## what can be done here
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: .venv/.installed ## make .venv with the locked versions and bothways in it

.venv/.installed: requirements/run.txt pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" requirements/run.txt
	@touch $@

tools: .venv/.tools ## the same with what tests, checks and benchmarks need

.venv/.tools: requirements/dev.txt pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" requirements/dev.txt
	@touch .venv/.installed $@

check: tools ## format, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports

format: tools ## put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

fixtures: .cache/.fetched ## fetch the servers that the tests start

.cache/.fetched: scripts/fixtures tests/servers/kafka.py tests/servers/postgres.py tests/servers/connect.py .venv/.tools
	@scripts/fixtures
	@touch $@

test: tools fixtures ## every test but the long ones; real PostgreSQL, Kafka and sandbox Stripe
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m "not soak"

soak: tools fixtures ## the long forms: more kills, more seeds (SEEDS=20000)
	BOTHWAYS_SOAK_SEEDS=$(SEEDS) $(BIN)/pytest -n $(WORKERS) -m soak

bench: tools fixtures ## measure, side by side with what it is compared to
	$(BIN)/python -m bench

demo: install ## the first two minutes: both ways, a conflict, a crash
	$(BIN)/bothways demo

LOCK := uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --python-version 3.11 --universal

lock: ## write requirements/*.txt anew (needs uv)
	$(LOCK) --extra kafka --extra embedded --extra sentry --group build -o requirements/run.txt
	$(LOCK) --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt

clean: ## take away what make made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
