# Every target sets up .venv by itself; a second call finds it ready.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q
ARGS   ?=
# Three files of tests side by side, each side with a Postgres and a Temporal of its own: they wait much. With four, or
# with those that wait most all at once, they are in each other's way, and it takes longer.
SIDE   ?= -n 3 --dist loadfile
SHELL  := bash
.SHELLFLAGS := -eo pipefail -c

.PHONY: help setup demo test test-deep coverage mutation check bench up lock
help:       ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Masthead needs Python 3.11 or newer; call make PYTHON=python3.12, say." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned packages into $(VENV) ..."
	@awk '/^uv==/{on=1} on&&/^[^ ]/&&!/^uv==/{exit} on' requirements.lock > $(VENV)/uv.lock
	@$(PIP) --require-hashes -r $(VENV)/uv.lock && $(BIN)/uv pip install -q --python $(BIN)/python --require-hashes \
	  -r requirements.lock || { echo "uv could not, so pip does it (slower)"; $(PIP) --require-hashes -r requirements.lock; }
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP)      ## install everything into .venv (done by each target when needed)

demo: $(STAMP)       ## bill real subscribers on a real Postgres and Temporal; ARGS=--exit ends by itself
	@$(BIN)/masthead demo $(ARGS)

test: $(STAMP)       ## the test suite (under 15 minutes on 2 cores)
	@$(BIN)/python -m pytest -m "not deep" $(SIDE) $(ARGS)

test-deep: $(STAMP)  ## all kill points, many seeds, coverage and mutation (under 60 minutes)
	@$(MAKE) --no-print-directory coverage mutation
	@$(BIN)/python -m pytest -m "deep or not deep" $(SIDE) --timeout 1800 $(ARGS)

coverage: $(STAMP)   ## lines and branches of the rules by their own tests: 98 % at least
	@$(BIN)/python -m pytest tests/domain -m "not deep" -q --cov && $(BIN)/python -m tests.branches

mutation: $(STAMP)   ## faults put into the rules of money, time and tax: 80 % noticed at least
	@$(BIN)/python -m tests.mutation.run

check: $(STAMP)      ## style, types, import rules
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

bench: $(STAMP)      ## the bill run against the write floor; ARGS="--accounts 100000"
	@$(BIN)/masthead bench bill-run --json $(ARGS)

up: $(STAMP)         ## start Postgres, Temporal, workers and API here; Ctrl-C stops them
	@$(BIN)/masthead up $(ARGS)

lock: $(STAMP)       ## resolve pyproject.toml into requirements.lock again
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra dev --no-emit-index-url \
	  --no-emit-find-links --no-annotate --allow-unsafe --custom-compile-command "make lock" pyproject.toml -o requirements.lock
