# Everything starts here. The only things a machine needs are Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# The folder is part of the stamp: a moved checkout rebuilds its environment.
HERE := $(shell printf '%s' "$(CURDIR)" | cksum | cut -d' ' -f1)
STAMP := $(VENV)/installed-$(HERE)
DEV := $(VENV)/installed-dev-$(HERE)
BENCH := $(VENV)/installed-bench-$(HERE)

.PHONY: demo up test test-outside check lint format types bench kills chaos stress weeks lock clean

demo: $(STAMP)        ## a real site becomes searchable knowledge, then ends by itself
	@$(RUN) -m workers demo $(ARGS)

up: $(STAMP)          ## everything at once; Ctrl-C stops all
	@$(RUN) -m workers up $(ARGS)

test: $(DEV)          ## unit, integration and end-to-end tests
	@$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not kills" $(ARGS)

test-outside: $(DEV)  ## also against supabase-js, PostgREST, the Supabase CLI and Postgres 15
	@bash .ci/install-tools
	@$(RUN) -m pytest -n 3 --dist loadfile tests/outside $(ARGS)

check: lint           ## format, lint, types, import contracts, unit tests
	@$(RUN) -m pytest -q tests/unit

lint: $(DEV)          ## format, lint, types, import contracts
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(RUN) -c "from importlinter.cli import lint_imports_command as run; run()"

format: $(DEV)
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

types: $(STAMP)       ## rewrite db/types from this checkout's migrations
	@$(RUN) -m workers types --keep

bench: $(BENCH)       ## speed against peers, printed as ratios; losses first
	@$(RUN) -m tests.benchmarks $(ARGS)

kills: $(DEV)         ## a process killed at every point there is, not only at some
	@$(RUN) -m pytest -n 2 --dist loadfile -m kills tests/e2e $(ARGS)

chaos: $(DEV)         ## kill everything for minutes: nothing lost, nothing twice; violations first
	@$(RUN) -m tests.chaos $(ARGS)

stress: $(DEV)        ## thousands of interleavings of writes and counting, each recounted naively
	@$(RUN) -m pytest --timeout 3600 --hypothesis-profile stress \
	  tests/integration/test_stats_property.py $(ARGS)

weeks: $(DEV)         ## schedulers killed at random for simulated weeks, against a naive list of ticks
	@$(RUN) -m pytest --timeout 7200 --hypothesis-profile stress \
	  tests/integration/test_scheduler_weeks.py $(ARGS)

lock:                 ## rewrite the three lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --group install -o requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header -c requirements.lock --group install --group dev -o requirements-dev.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header -c requirements-dev.lock --group install --group dev --group bench -o requirements-bench.lock \
	  pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed")'
	@$(PYTHON) -m venv $(VENV)

$(STAMP): requirements.lock | $(VENV)/bin/python
	@echo "installing locked dependencies into $(VENV) ..."
	@$(RUN) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock $(STAMP)
	@$(RUN) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH): requirements-bench.lock $(DEV)
	@$(RUN) -m pip install -q --disable-pip-version-check --require-hashes \
	  -r requirements-bench.lock
	@touch $@
