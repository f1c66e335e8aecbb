#!/usr/bin/env bash
# Compile the locks: requirements/<extra>.txt for each extra of pyproject.toml, with versions and hashes, for CPython 3.11 and
# 3.12 at once. `all` comes first and constrains the others, so that any of them can share one environment.
# Usage: requirements/compile.sh [--upgrade]     (needs uv: pip install uv)
set -euo pipefail
cd "$(dirname "$0")/.."
extras=(embedded build training loadtest deploy docs dev)

compile() { # name, arguments
  local name=$1; shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
    --no-emit-package segserve --custom-compile-command "requirements/compile.sh" \
    --output-file "requirements/$name.txt" pyproject.toml requirements/packaging.in "$@"
}

compile all "${extras[@]/#/--extra=}" "$@"
compile server --constraint requirements/all.txt
for extra in "${extras[@]}"; do compile "$extra" "--extra=$extra" --constraint requirements/all.txt; done
