#!/usr/bin/env bash
# A test authority, certificates and tokens for the proxy, which is given FOLDER/proxy and nothing else. In production
# the hospital's authority signs: put its files there. Keys are readable by their owner and group only.
#
#   certs.sh authority FOLDER          ca.key ca.crt, proxy/client-ca.crt, empty proxy/tokens.map and proxy/revoked.map
#   certs.sh server FOLDER HOST...     proxy/server.key and .crt for these names or addresses (90 days)
#   certs.sh client FOLDER NAME        clients/NAME.key and .crt, a caller's certificate (90 days)
#   certs.sh token FOLDER NAME         prints a new bearer token and adds it to proxy/tokens.map
#   certs.sh revoke FOLDER NAME        refuses clients/NAME.crt from the proxy's next reload on
#   certs.sh all FOLDER HOST...        authority, server certificate and a client named 'first'
set -euo pipefail
umask 027

fail() { echo "certs.sh: $*" >&2; exit 2; }
usage() { sed -n '5,10s/^# *//p' "$0" >&2; exit 2; }

need_authority() { [[ -s $1/ca.key && -s $1/ca.crt ]] || fail "no authority in $1: run 'certs.sh authority $1' first"; }
check_name() { [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]] || fail "'$1' is no name: letters, digits, dot, dash, underscore"; }
new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; chmod 640 "$1"; }

authority() {
  [[ ! -e $1/ca.key ]] || fail "$1 already has an authority: a new one would lock every caller out; remove it yourself"
  mkdir -p "$1/proxy"
  new_key "$1/ca.key"
  openssl req -x509 -new -key "$1/ca.key" -days 1825 -subj "/O=segserve test/CN=segserve test authority" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$1/ca.crt"
  cp "$1/ca.crt" "$1/proxy/client-ca.crt"
  touch "$1/proxy/tokens.map" "$1/proxy/revoked.map"
}

sign() { # folder, file stem, subject, extensions
  local request; request=$(mktemp)
  new_key "$2.key"
  openssl req -new -key "$2.key" -subj "$3" -out "$request"
  openssl x509 -req -in "$request" -CA "$1/ca.crt" -CAkey "$1/ca.key" -set_serial "0x$(openssl rand -hex 16)" -days 90 \
    -extfile <(printf '%s\n' "$4") -out "$2.crt" 2>/dev/null
  rm -f "$request"
}

server() {
  local folder=$1 names="" host; shift
  need_authority "$folder"
  (( $# )) || fail "name the server's hosts"
  for host in "$@"; do
    if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=",IP:$host"; else check_name "$host"; names+=",DNS:$host"; fi
  done
  sign "$folder" "$folder/proxy/server" "/O=segserve/CN=$1" \
    "subjectAltName=${names#,}"$'\n'"extendedKeyUsage=serverAuth"$'\n'"keyUsage=critical,digitalSignature"$'\n'"basicConstraints=critical,CA:FALSE"
}

client() {
  need_authority "$1"; check_name "$2"; mkdir -p "$1/clients"
  sign "$1" "$1/clients/$2" "/O=segserve/CN=$2" \
    "extendedKeyUsage=clientAuth"$'\n'"keyUsage=critical,digitalSignature"$'\n'"basicConstraints=critical,CA:FALSE"
}

token() {
  check_name "$2"; [[ -e $1/proxy/tokens.map ]] || fail "no proxy/tokens.map in $1: run 'certs.sh authority $1' first"
  local secret; secret=$(openssl rand -hex 32)
  printf '"Bearer %s" %s;\n' "$secret" "$2" >> "$1/proxy/tokens.map"
  echo "$secret"
}

revoke() {
  local certificate=$1/clients/$2.crt serial
  [[ -s $certificate ]] || fail "no certificate of $2 in $1/clients"
  serial=$(openssl x509 -in "$certificate" -noout -serial)
  printf '"%s" 1;\n' "${serial#serial=}" >> "$1/proxy/revoked.map"
}

[[ $# -ge 2 ]] || usage
command=$1; shift
case $command in
  authority) authority "$1" ;;
  server) server "$@" ;;
  client | token | revoke) [[ $# -eq 2 ]] || usage; "$command" "$1" "$2" ;;
  all) authority "$1"; server "$@"; client "$1" first ;;
  *) usage ;;
esac
