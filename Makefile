# `make help` lists the targets. Everything runs in .venv, installed from the locks in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-training test-deploy loadtest bench bench-peers lint format typecheck locks clean

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

# torch's own dependencies come with it; torchvision's would replace a CPU build of torch.
$(VENV)/torch.installed: requirements/training-torch.txt $(VENV)/all.installed
	@echo "installing requirements/training-torch.txt"
	@$(PIP) $$(grep '^torch==' $<)
	@$(PIP) --no-deps -r $<
	@touch $@

demo: $(VENV)/embedded.installed ## send the example photographs through a real Triton; results in out/
	@$(BIN)/python examples/demo.py

serve: $(VENV)/embedded.installed ## run the server on 127.0.0.1:8000 (HTTP), 8001 (gRPC), 8002 (metrics) until Ctrl-C
	@$(BIN)/segserve-server serve

test: $(VENV)/all.installed ## every test that needs no GPU, against a real Triton
	$(BIN)/pytest tests/unit tests/integration
	$(BIN)/pytest client/tests  # the SDK is a distribution of its own: in a process without the server's libraries

test-training: $(VENV)/torch.installed ## the tests of training, which need torch
	$(BIN)/pytest tests/training

test-deploy: $(VENV)/all.installed ## the tests of deploy/, which need nginx and prometheus (deploy/install-test-tools.sh)
	$(BIN)/pytest tests/deploy

loadtest: $(VENV)/loadtest.installed $(VENV)/embedded.installed ## a minute of load on a server started here; fails when loadtest/slo.toml is missed
	@$(BIN)/python -m loadtest run

bench: $(VENV)/all.installed ## served throughput against the ceiling of the same work in one process
	@$(BIN)/python -m loadtest bench

bench-peers: $(VENV)/all.installed ## the same work in FastAPI, LitServe, BentoML and a client, side by side
	@$(BIN)/python -m loadtest peers

lint: $(VENV)/all.installed ## style and formatting, unchanged
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/all.installed ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(VENV)/torch.installed ## strict types, of training too
	$(BIN)/mypy

locks: $(BIN)/python ## compile requirements/*.txt anew
	$(PIP) uv
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/compile.sh

clean: ## remove the environment and everything generated
	rm -rf $(VENV) out runs .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
