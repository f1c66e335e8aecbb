# `make help` lists the targets. Everything runs in .venv, installed from the locks in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint format typecheck locks clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 13); sys.exit(0 if ok else "segserve-server needs Python 3.11 or 3.12, this is %d.%d; try make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV)

# One stamp per lock: installed when the lock or a pyproject changes.
$(VENV)/%.installed: requirements/%.txt pyproject.toml client/pyproject.toml | $(BIN)/python
	@echo "installing requirements/$*.txt (the first time takes a minute or two)"
	@$(PIP) --require-hashes -r requirements/$*.txt
	@$(PIP) --no-deps --no-build-isolation -e client -e .
	@touch $@

demo: $(VENV)/embedded.installed ## send the example photographs through a real Triton; results in out/
	@$(BIN)/python examples/demo.py

serve: $(VENV)/embedded.installed ## run the server on 127.0.0.1:8000 (HTTP), 8001 (gRPC), 8002 (metrics) until Ctrl-C
	@$(BIN)/segserve-server serve

test: $(VENV)/all.installed ## every test that needs no GPU, against a real Triton
	$(BIN)/pytest

lint: $(VENV)/all.installed ## style and formatting, unchanged
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/all.installed ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/all.installed ## strict types
	$(BIN)/mypy

locks: $(BIN)/python ## compile requirements/*.txt anew
	$(PIP) uv
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/compile.sh

clean: ## remove the environment and everything generated
	rm -rf $(VENV) out runs .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
