#!/usr/bin/env bash
# Sends requests to these servers from now on, without a failed one: writes upstreams.conf, checks, reloads nginx.
# Requests in flight finish where they are; end the old server once this has printed 'drained'.
#
#   switch.sh HOST:HTTP_PORT:GRPC_PORT:METRICS_PORT[=WEIGHT]...
#
# Two servers with weights are a canary: 'switch.sh triton:8000:8001:8002=95 next:8000:8001:8002=5'.
# Environment: SEGSERVE_PROXY    the folder of nginx.conf, here [the folder 'proxy' beside this script]
#              SEGSERVE_EXEC     how to run a command beside nginx [docker compose exec in the service 'proxy']
#              SEGSERVE_CONF     nginx.conf as nginx sees it [/etc/segserve/nginx.conf]
#              SEGSERVE_RUN      nginx's run folder as nginx sees it [/run/proxy]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
local=${SEGSERVE_PROXY:-$here/proxy}/local
run=${SEGSERVE_RUN:-/run/proxy}
read -r -a beside <<< "${SEGSERVE_EXEC:-docker compose -f $here/compose.yaml exec -T proxy}"
nginx=("${beside[@]}" nginx -p "$run" -c "${SEGSERVE_CONF:-/etc/segserve/nginx.conf}")
fail() { echo "switch.sh: $2" >&2; exit "$1"; }

(( $# )) || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
http="" grpc="" metrics=""
for target in "$@"; do
  [[ $target =~ ^([A-Za-z0-9._-]+):([0-9]+):([0-9]+):([0-9]+)(=([1-9][0-9]*))?$ ]] ||
    fail 2 "'$target' is not HOST:HTTP_PORT:GRPC_PORT:METRICS_PORT[=WEIGHT]"
  rest="weight=${BASH_REMATCH[6]:-1} max_fails=3 fail_timeout=5s;"
  http+=" server ${BASH_REMATCH[1]}:${BASH_REMATCH[2]} $rest"
  grpc+=" server ${BASH_REMATCH[1]}:${BASH_REMATCH[3]} $rest"
  metrics+=" server ${BASH_REMATCH[1]}:${BASH_REMATCH[4]};"
done

before=$(cat "$local/upstreams.conf")
# Written in place: the file may be mounted by itself, and a rename would leave the container with the old one.
cat > "$local/upstreams.conf" <<END
# Written by deploy/switch.sh: where requests go.
upstream triton_http {$http keepalive 32; }
upstream triton_grpc {$grpc keepalive 32; }
upstream triton_metrics {$metrics }
END
if ! "${nginx[@]}" -t -q; then
  printf '%s\n' "$before" > "$local/upstreams.conf"
  fail 1 "nginx refuses these servers (see above); nothing was changed"
fi

# Workers of before the reload finish their requests and end (at the latest after worker_shutdown_timeout).
workers() {
  # shellcheck disable=SC2016  # expanded by the shell beside nginx
  "${beside[@]}" sh -c 'grep -lE "\\) [A-Z] $(cat "$1/nginx.pid") " /proc/[0-9]*/stat 2> /dev/null' - "$run" || true
}
old=$(workers)
"${nginx[@]}" -s reload
for (( tenths = 0; tenths < 1000; tenths++ )); do
  sleep 0.1
  now=$(workers)
  if (( tenths >= 5 )) && [[ -n $now ]] && ! grep -qxF "${old:-none}" <<< "$now"; then
    echo "drained: every request now goes to $*"
    exit 0
  fi
done
fail 1 "old connections did not end; look at the proxy's log"
