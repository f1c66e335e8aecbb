#!/usr/bin/env bash
# Installs what `make test-deploy` runs beside the Python packages of requirements/deploy.txt: on Debian 12 or later, or
# Ubuntu 24.04 or later, as root or with sudo. Does nothing where everything is there.
set -euo pipefail

declare -A package_of=(
  [nginx]=nginx
  [openssl]=openssl
  [promtool]=prometheus
  [prometheus]=prometheus
  [prometheus-blackbox-exporter]=prometheus-blackbox-exporter
  [mtail]=mtail
  [git]=git
)
PATH=$PATH:/usr/sbin:/usr/local/sbin

missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" > /dev/null || missing+=("${package_of[$program]}")
done
if (( ${#missing[@]} )); then
  as_root=(); (( EUID == 0 )) || as_root=(sudo)
  # The tests start their own processes: the packages must not start services, on ports that somebody may want.
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" > /dev/null
    "${as_root[@]}" chmod +x "$policy"
    # shellcheck disable=SC2064  # as it is now
    trap "${as_root[*]} rm -f $policy" EXIT
  fi
  "${as_root[@]}" apt-get update --quiet
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
fi

# Debian's kubernetes-client is of 2021 and cannot render these files; any kubectl from 1.27 on can.
if ! command -v kubectl > /dev/null; then
  echo "install-test-tools.sh: kubectl 1.27 or later is missing; install it from your distributor" >&2
  exit 1
fi
minor=$(kubectl version --client -o json | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p' | head -1)
if (( minor < 27 )); then
  echo "install-test-tools.sh: this kubectl is 1.$minor; the overlays need 1.27 or later" >&2
  exit 1
fi
echo "install-test-tools.sh: everything is there"
