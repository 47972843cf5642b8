#!/bin/sh
# Tells which running PostgreSQL servers that other hosts reach offer no good TLS, or let somebody come without, and mends that.
#   pgtls.sh report WANTED...          a line of JSON for each server: port, owner, version, drop-in, certificate and key, what it
#       lacks (of: certificate settings effect rules), and why it cannot be given, or ""
#   pgtls.sh certify PORT WANTED...    make key and certificate on this host, for the server that lacks them
#   pgtls.sh settle PORT WANTED...     put what contradicts the drop-in out of use, reload; then let nobody in without, where
#       that is required and nobody is connected so
#   pgtls.sh scope                     the files that may be changed
# WANTED: REQUIRED (True or False) PORTS CERTIFICATE KEY DAYS. PORTS: those that the ledger registers for other hosts, joined by
# commas. CERTIFICATE, KEY: files of the institution's, or "". DAYS: for how long a certificate must hold.
# Run with postgresql.sh before it.
# shellcheck disable=SC2154 # from there
mode=$1
shift
made=/etc/ssl/medsec

reached() {
  listens=$(value listen_addresses | tr -d ' ')
  if [ -z "$listens" ]; then return 1; fi
  case ,$ports, in *,"$port",*) return 0 ;; esac
  printf '%s\n' "$listens" | tr ',' '\n' | grep -qvE '^(localhost|127\..*|::1)$'
}

on() { case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in on | true | yes | 1) ;; *) return 1 ;; esac }
modern() { case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in tlsv1.2 | tlsv1.3) ;; *) [ "$major" -lt 12 ] ;; esac }
absolute() { case $1 in /*) echo "$1" ;; *) echo "$data/$1" ;; esac }

holds() { # CERTIFICATE SECONDS
  openssl x509 -noout -checkend "$2" -in "$1" > /dev/null 2>&1
}

fits() { # CERTIFICATE KEY
  [ "$(openssl x509 -noout -pubkey -in "$1" 2> /dev/null)" = "$(openssl pkey -pubout -in "$2" 2> /dev/null)" ]
}

shut_off() { # MODE : whether others may not read a file of that mode
  case $1 in *0) ;; *) return 1 ;; esac
}

useless() { # CERTIFICATE KEY : why the pair is of no use, or nothing
  if ! [ -s "$1" ] || ! [ -s "$2" ]; then echo "$1 or $2 is not there"
  elif ! holds "$1" "$((days * 86400))"; then echo "$1 does not hold for another $days days: renew it"
  elif ! fits "$1" "$2"; then echo "the key $2 does not belong to $1"
  elif ! shut_off "$(stat -L -c %a "$2")"; then echo "everybody on the host may read the key $2: take that right away, and have a new pair made if it may be known"
  elif ! runuser -u "$owner" -- test -r "$2"; then echo "$owner may not read the key $2"
  fi
}

choose() { # sets certificate, key, make (the pair must be made), refuse
  make='' refuse=''
  if [ -n "$given" ]; then
    certificate=$given key=$given_key
    refuse=$(useless "$certificate" "$key")
    return
  fi
  certificate=$(absolute "$(value_later ssl_cert_file)")
  key=$(absolute "$(value_later ssl_key_file)")
  wrong=$(useless "$certificate" "$key")
  if [ -z "$wrong" ]; then return; fi
  # Clients may know a certificate that still holds: it is its owner's to replace.
  if [ -s "$key" ] && holds "$certificate" 0 && [ "$certificate" != "$made/$owner.crt" ]; then
    refuse=$wrong
  else
    certificate=$made/$owner.crt key=$made/$owner.key
    if [ -n "$(useless "$certificate" "$key")" ]; then make=yes; fi
  fi
}

shake() { # S_CLIENT-OPTION...
  address=$(sed -n 6p "$data/postmaster.pid")
  case $address in '*' | 0.0.0.0 | ::) address=localhost ;; *:*) address="[$address]" ;; esac
  # Where there is no TLS, openssl fails.
  echo | timeout 10 openssl s_client -starttls postgres -connect "$address:$port" "$@" 2> /dev/null || true
}

refuses() { # S_CLIENT-OPTION...
  ! shake -min_protocol TLSv1 "$@" | grep -E '^New, .*Cipher is ' | grep -qvF '(NONE)'
}

shown() { shake | openssl x509 -noout -fingerprint -sha256 2> /dev/null || true; }

in_effect() {
  on "$(value ssl)" && modern "$(value ssl_min_protocol_version)" &&
    [ "$(absolute "$(value ssl_cert_file)")" = "$certificate" ] && [ "$(absolute "$(value ssl_key_file)")" = "$key" ] &&
    seen=$(shown) && [ -n "$seen" ] && [ "$seen" = "$(openssl x509 -noout -fingerprint -sha256 -in "$certificate")" ]
}

in_files() {
  on "$(value_later ssl)" && modern "$(value_later ssl_min_protocol_version)" &&
    [ "$(absolute "$(value_later ssl_cert_file)")" = "$certificate" ] && [ "$(absolute "$(value_later ssl_key_file)")" = "$key" ]
}

rules_read() { [ "$(echo "SELECT to_timestamp($(changed)) > pg_conf_load_time()" | ask)" = f ]; }

# Rules by which another host may come without TLS, as file, line: unless one before them refuses everybody who does.
plain_rules() {
  addresses=$(ip -o addr | awk '{ sub("/.*", "", $4); print $4 }' | paste -sd,)
  ask postgres -v own="$addresses" -F "$tab" << 'SQL'
SELECT coalesce(row_to_json(r) ->> 'file_name', current_setting('hba_file')), line_number FROM pg_hba_file_rules r
  WHERE error IS NULL AND type IN ('host', 'hostnossl', 'hostnogssenc') AND auth_method <> 'reject' AND NOT (address = 'samehost' OR netmask IS NOT NULL
    AND (address::inet <<= '127.0.0.0/8' OR host(address::inet) = '::1'
      OR netmask::inet IN ('255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff') AND host(address::inet) = ANY (string_to_array(:'own', ','))))
  AND NOT EXISTS (SELECT FROM pg_hba_file_rules j WHERE coalesce((row_to_json(j) ->> 'rule_number')::int, j.line_number)
      < coalesce((row_to_json(r) ->> 'rule_number')::int, r.line_number) AND j.error IS NULL AND j.type IN ('host', 'hostnossl')
    AND j.auth_method = 'reject' AND j.address = 'all' AND 'all' = ANY (j.user_name) AND 'all' = ANY (j.database)) ORDER BY 1, 2
SQL
}

plain_sessions() { echo "SELECT 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND client_addr IS NOT NULL LIMIT 1" | ask; }

# Whoever is connected without TLS would not get in again; the check names them.
must_require() { [ "$required" = True ] && [ -n "$(plain_rules)" ] && [ -z "$(plain_sessions)" ]; }

describe() { # sets dropin, certificate, key, lacks, refuse
  dropin=$(dirname "$(value config_file)")/conf.d/zz-medsec-tls.conf
  lacks='' refuse='' certificate='' key=''
  if ! reached; then return; fi
  choose
  if [ -n "$make" ]; then lacks=certificate,settings,effect; fi
  if ! in_files || ! refuses -max_protocol TLSv1.1 -cipher ALL:@SECLEVEL=0 ||
    ! refuses -max_protocol TLSv1.2 -cipher eNULL:aNULL:LOW:EXPORT:RC4:3DES:@SECLEVEL=0; then lacks=${lacks:-settings,effect}; fi
  if [ -z "$lacks" ] && ! { in_effect && rules_read; }; then lacks=effect; fi
  if must_require; then lacks=${lacks:+$lacks,}rules; fi
}

tell() {
  describe
  printf '{"port": "%s", "owner": "%s", "major": "%s", "dropin": "%s", "certificate": "%s", "key": "%s", "lacks": "%s", "refuse": "%s"}\n' \
    "$port" "$owner" "$major" "$dropin" "$certificate" "$key" "$lacks" "$refuse"
}

certify() {
  choose
  if [ -z "$make" ]; then return; fi
  install -d -m 0755 "$made"
  umask 077
  name=$(uname -n)
  openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 825 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout "$key.new" -out "$certificate.new" 2> /dev/null
  chmod 0644 "$certificate.new"
  chown "$owner:" "$key.new" "$certificate.new"
  mv "$key.new" "$key"
  mv "$certificate.new" "$certificate"
}

reload() {
  echo 'SELECT pg_reload_conf()' | ask > /dev/null
  sleep 1
}

require() {
  changed=$(plain_rules)
  held=$(mktemp -d)
  printf '%s\n' "$changed" | cut -f 1 | sort -u | while IFS= read -r file; do cp -p --parents "$file" "$held"; done
  printf '%s\n' "$changed" | while IFS="$tab" read -r file line; do
    sed -i --follow-symlinks -E "${line}s/^([[:space:]]*)host(nossl|nogssenc)?([[:space:]])/\\1hostssl\\3/" "$file"
  done
  wrong=$(echo "SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL" | ask)
  if [ -n "$wrong" ]; then
    (cd "$held" && find . -type f) | while IFS= read -r file; do cat "$held/$file" > "/$file"; done
    rm -r "$held"
    echo "the server on port $port would refuse rules with hostssl, which are left as they were: $wrong" >&2
    exit 3
  fi
  rm -r "$held"
  reload
}

settle() {
  describe
  if [ -n "$refuse" ]; then
    echo "the server on port $port is left as it is: $refuse" >&2
    exit 3
  fi
  refused_settings
  undo_later "$dropin" postgresql_connections_encrypted
  case $lacks in *settings* | *effect*) reload ;; esac
  describe
  case $lacks in rules) require ;; esac
  describe
  if [ -n "$lacks" ]; then
    echo "the server on port $port still lacks $lacks; does its command line set ssl, or its log tell of a certificate that it cannot use?" >&2
    exit 3
  fi
}

scope() {
  settings_files
  echo "SELECT DISTINCT coalesce(row_to_json(r) ->> 'file_name', current_setting('hba_file')) FROM pg_hba_file_rules r" | ask | sed "s/^/file$tab/"
}

wanted() { # REQUIRED PORTS CERTIFICATE KEY DAYS
  required=$1 ports=$2 given=$3 given_key=$4 days=$5
  for tool in openssl timeout ip awk; do
    command -v "$tool" > /dev/null || {
      echo "no $tool on this host: install it" >&2
      exit 3
    }
  done
}

case $mode in
  scope) with_each scope ;;
  report)
    wanted "$@"
    with_each tell
    ;;
  certify | settle)
    at_port=$1
    shift
    wanted "$@"
    with_server "$at_port" "$mode"
    ;;
  *) echo "unknown mode '$mode'" >&2; exit 2 ;;
esac
