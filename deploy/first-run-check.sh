#!/usr/bin/env bash
# The first run on a real host: everything that could not be tried without a container engine or a GPU, one line each
# with 'pass' or 'FAIL', and a last line. Run it after the "Install" steps of docs/operations.md, in the repository:
#
#   deploy/first-run-check.sh [gpu|cpu]
#
# It starts the deployment, sends a few requests, kills one model process to see the server come back, rehearses an
# upgrade, and leaves the deployment running. Log: first-run-check.log in the current folder.
# shellcheck disable=SC2329  # functions are called by name
set -uo pipefail
variant=${1:-gpu}
[[ $variant == gpu || $variant == cpu ]] || { echo "usage: first-run-check.sh [gpu|cpu]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
log=$PWD/first-run-check.log
: > "$log"
set -a
# shellcheck source=/dev/null
. "$here/.env"
export COMPOSE_PROFILES=$variant
set +a
server=triton-$variant
url=https://localhost:$SEGSERVE_PORT
secrets=$here/secrets
compose() { docker compose -f "$here/compose.yaml" "$@"; }
failed=0 passed=0

check() { # description, command...
  local text=$1; shift
  echo "=== $text: $*" >> "$log"
  if "$@" >> "$log" 2>&1; then
    passed=$((passed + 1)); echo "pass  $text"
  else
    failed=$((failed + 1)); echo "FAIL  $text"
  fi
}
need() { # the same, and nothing else makes sense without it
  local before=$failed
  check "$@"
  (( failed == before )) || finish
}
finish() {
  echo "$passed passed, $failed failed; details: $log"
  exit $(( failed > 0 ))
}
within() { # seconds, command...: until it succeeds
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do (( SECONDS < deadline )) || return 1; sleep 2; done
}

status() { # expected code, curl arguments...
  local expected=$1 got; shift
  got=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 60 \
    --cacert "$secrets/ca.crt" --cert "$secrets/clients/first.crt" --key "$secrets/clients/first.key" "$@")
  echo "got $got, expected $expected"
  [[ $got == "$expected" ]]
}
anonymous() { # expected code, address
  local got
  got=$(curl --silent --output /dev/null --write-out '%{http_code}' --cacert "$secrets/ca.crt" "$2")
  echo "got $got"; [[ $got == "$1" ]]
}
segment() {
  status 200 --data-binary "@$here/../examples/many_hemorrhages.jpg" -H 'Content-Type: application/octet-stream' \
    -H 'Inference-Header-Content-Length: 0' "$url/v2/models/fundus_hemorrhage/infer"
}
form_body() {
  head -c 8000000 /dev/zero | status 400 --data-binary @- -H 'Inference-Header-Content-Length: 0' \
    "$url/v2/models/fundus_hemorrhage/infer"
}
gzip_bomb() {
  head -c 100000000 /dev/zero | gzip | status 415 --data-binary @- -H 'Content-Encoding: gzip' \
    "$url/v2/models/fundus_hemorrhage/infer"
}
prometheus() { # query: is there a sample?
  curl --silent --get --data-urlencode "query=$1" "http://localhost:9090/api/v1/query" | tee -a "$log" | grep -q '"value"'
}
digest_is_set() { [[ $TRITON_DIGEST =~ ^sha256:[0-9a-f]{64}$ ]]; }
tag_is_not_below_the_floor() { local tag=${TRITON_TAG%-py3}; (( ${tag/./} >= 2608 )); }
gpu_in_a_container() {
  docker run --rm --gpus "device=$SEGSERVE_GPU" --entrypoint nvidia-smi "nvcr.io/nvidia/tritonserver:$TRITON_TAG@$TRITON_DIGEST"
}
plan_with_manifest() {
  # shellcheck disable=SC2016  # expanded in the container
  compose exec -T "$server" sh -c 'ls "$SEGSERVE_REPOSITORY"/*_segment/*/model.plan "$SEGSERVE_REPOSITORY"/*_segment/*/*.manifest.json'
}
tensorrt_bindings_match() {
  # shellcheck disable=SC2016  # expanded in the container
  compose run --rm --no-deps --entrypoint sh engine -c \
    'test "$(python3 -c "import tensorrt; print(tensorrt.__version__)")" = "${TRT_VERSION%%+*}"'
}
doctor_in_log() { compose logs --no-log-prefix "$server" | grep -F 'this machine can serve'; }
not_root_and_read_only() {
  [[ $(compose exec -T "$server" id -u) == 1000 ]] && ! compose exec -T "$server" touch /opt/segserve/written
}
no_way_out() {
  ! compose exec -T "$server" python3 -c 'import socket; socket.create_connection(("1.1.1.1", 443), 3)'
}
models_see_their_packages() {
  compose exec -T "$server" python3 -c 'import cv2, numpy, segserve, segserve_server; print(numpy.__version__)'
}
kill_a_stub() {
  compose exec -T "$server" python3 -c '
import os, pathlib, signal
names = {int(p.parent.name): p.read_text() for p in pathlib.Path("/proc").glob("[0-9]*/comm")}
os.kill(next(pid for pid, name in names.items() if name.startswith("triton_python_b")), signal.SIGKILL)'
}
restarts() { docker inspect --format '{{.RestartCount}}' "$(compose ps --all --quiet "$server")"; }
was_restarted() { [[ $(restarts) -gt $1 ]]; }
upgrade_and_back() {
  COMPOSE_PROFILES=$next_profile compose up --detach --no-deps --wait "next-$variant" &&
    "$here/switch.sh" next:8000:8001:8002 && segment &&
    "$here/switch.sh" triton:8000:8001:8002 && segment &&
    COMPOSE_PROFILES=$next_profile compose rm --stop --force "next-$variant"
}
if [[ $variant == gpu ]]; then next_profile=gpu,next; else next_profile=cpu,next-cpu; fi

need "docker is there" docker version
need "docker compose is 2.24 or later" docker compose version
need "TRITON_DIGEST is set in deploy/.env" digest_is_set
need "the image is 26.08 or later" tag_is_not_below_the_floor
need "curl and openssl are there" sh -c 'command -v curl openssl'
[[ $variant == cpu ]] || need "containers see the GPU" gpu_in_a_container
need "the settings are valid" compose config --quiet
need "secrets are there (certs.sh)" test -s "$secrets/proxy/server.key" -a -s "$secrets/grafana_password"
need "images build" compose build
[[ $variant == cpu ]] || check "TensorRT's bindings are of the image's version" tensorrt_bindings_match
need "everything starts and is healthy" compose up --detach --wait --wait-timeout 1800
check "the log shows the doctor's page, all green" doctor_in_log
check "Python-backend models see their packages" models_see_their_packages
[[ $variant == cpu ]] || check "the plan lies in the volume with its manifest" plan_with_manifest
check "the server is not root and cannot write its image" not_root_and_read_only
check "the server has no way out" no_way_out
check "TLS with a client certificate: ready" status 200 "$url/v2/health/ready"
check "without a certificate: 401" anonymous 401 "$url/v2/health/ready"
check "a photograph is segmented" segment
check "model control is refused" status 403 -X POST "$url/v2/repository/index"
check "an 8 MB web form does no harm" form_body
check "a gzip bomb is refused" gzip_bomb
check "still in service" segment
check "Prometheus scrapes Triton" within 60 prometheus 'up{job="segserve-triton"} == 1'
check "Prometheus counts requests at the proxy" within 60 prometheus 'segserve_requests_total{route="infer"} > 0'
check "every model is seen ready" within 60 prometheus 'min(probe_success{job="segserve-models"}) == 1'
[[ $variant == cpu ]] || check "GPU metrics arrive" within 60 prometheus nv_gpu_memory_used_bytes
check "Grafana has the dashboard" curl --silent --fail --output /dev/null \
  --user "admin:$(cat "$secrets/grafana_password" 2>/dev/null)" http://localhost:3000/api/dashboards/uid/segserve
before=$(restarts)
check "a model process is killed" kill_a_stub
check "the server is restarted by itself" within 180 was_restarted "$before"
check "and is in service again" within 300 segment
check "upgrade to a second server and back" upgrade_and_back
finish
