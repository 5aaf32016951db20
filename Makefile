# Everything that is done to this repository. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help run stack test check types tests format demo demo-finance bench bench-stack bench-replay bench-finance bench-console soak screenshots readme lock clean
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## this list
	@grep -hE '^[a-z.$$()A-Z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(READY) ## start all services on http://127.0.0.1:8080, data in var/ (AFTERSALES_… settings apply)
	@$(BIN)/aftersales serve

stack: $(READY) ## PostgreSQL, Kafka and the services as processes, data in var/stack (ARGS="--brokers 3 --apart")
	@$(BIN)/aftersales stack $(ARGS)

# Modules are compiled once, not again by each of the many processes that tests start.
check: export PYTHONDONTWRITEBYTECODE :=

test: check ## the same as check: what CI runs

check: $(READY) ## format, lint, strict types, import rules, contract, then all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m contracts.publish --check
	@$(MAKE) --no-print-directory --jobs=2 types tests

types: $(READY)
	$(BIN)/mypy -p contracts -p services -p tests -p benchmarks

tests: $(READY)
	$(BIN)/python -m compileall -qq contracts services
	$(BIN)/python -m pytest -q --numprocesses 4 --dist loadfile

format: $(READY) ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(READY) ## play a few cases and show what happened and who bore what
	@$(BIN)/aftersales demo

demo-finance: $(READY) ## a made-up year with planted faults: bills, reconciliation, closed months (ARGS="--seed 7")
	@$(BIN)/aftersales demo finance $(ARGS)

bench: $(READY) ## measure commands, appends and folds against plain ways to do the same
	$(BIN)/python -m benchmarks

bench-stack: $(READY) ## the same on PostgreSQL and Kafka, with the services as processes
	$(BIN)/python -m benchmarks.stack

bench-replay: $(READY) ## rebuild, fold and prove long logs on both databases (ARGS="--events 5000000")
	$(BIN)/python -m benchmarks.replay $(ARGS)

bench-finance: $(READY) ## reconcile up to a million rows of bills, and make the statements of a year
	$(BIN)/python -m benchmarks.finance $(ARGS)

bench-console: $(READY) ## pages of the console beside the JSON that they are made of
	$(BIN)/python -m benchmarks.console $(ARGS)

soak: $(READY) ## faults at random under load, judged round by round (ARGS="--seed 7 --minutes 60")
	$(BIN)/python -m tests.faults.soak $(ARGS)

screenshots: $(READY) ## pictures of the console's main pages, as the READMEs show them
	$(BIN)/python -m tests.console.screenshots

readme: $(READY) ## run the tours of both READMEs and write what they show
	$(BIN)/python -m tests.readme

lock: $(READY) ## pin every dependency anew, by hash and without addresses
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --upgrade -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml deploy/requirements.in --constraints requirements.lock --generate-hashes \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 -o deploy/requirements.lock

clean: ## remove what was made: the environment and caches, not the data in var/
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("aftersales needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # by all processors; a package may hold files for another Python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
