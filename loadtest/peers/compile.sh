#!/usr/bin/env bash
# Compile the peers' locks anew: loadtest/peers/*/requirements.txt, versions and hashes (needs uv: pip install uv).
set -euo pipefail
cd "$(dirname "$0")"
for folder in *_server; do
  (cd "$folder" && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --custom-compile-command loadtest/peers/compile.sh --output-file requirements.txt requirements.in)
done
