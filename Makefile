# Everything runs in .venv, which is made anew when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help setup demo test check chaos bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/stamp ## Make .venv with everything for development

demo: .venv/stamp ## A cluster with an embedded Redis and a chat in the browser; CHECK=1: drive it, kill a worker, verify
	$(BIN)/python -m examples.demo $(if $(CHECK),--check) $(ARGS)

test: .venv/stamp ## The tests, on both cores; ARGS=... goes to pytest
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: .venv/stamp ## Lint, format, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing/as_users_write_it.py
	$(BIN)/lint-imports

chaos: .venv/stamp ## Faults of every kind under load, on queues and on edges; ARGS="--quick": 2 minutes each; ARGS="--part cluster"
	$(BIN)/python -m tests.chaos $(ARGS)

bench: .venv/stamp ## WORKER path beside other queues, 17 minutes, and cluster path, 18; ARGS="--quick": 3 and 2; ARGS="--part cluster"
	$(BIN)/python -m tests.bench.install
	$(BIN)/python -m tests.bench $(ARGS)

.venv/stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: Python 3.11 or newer is needed; make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) can't make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@# Its pins exclude every Dramatiq of the last years, which it works with.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps dramatiq-dashboard==0.4.0
	@touch $@
