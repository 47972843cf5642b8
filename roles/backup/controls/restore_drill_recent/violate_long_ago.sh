#!/bin/sh
# expect: days old, 31 at most
# The last drills passed, and that was two months ago.
set -eu
record() { # PRODUCT ID OUTCOME DATE PREVIOUS
  home=/var/lib/medsec/drills/$1
  umask 077
  mkdir -p "$home"
  printf '{"previous": "%s", "backup": "/var/backups/medsec/%s/x", "finished": "%s", "host": "%s", "machine": "%s", "outcome": "%s", "product": "%s"}\n' \
    "$5" "$1" "$(date -u -d "$4" +%Y-%m-%dT%H:%M:%S+00:00)" "$(uname -n)" \
    "$(printf %s "$(cat /etc/machine-id)" | sha256sum | cut -d' ' -f1)" "$3" "$1" > "$home/$2.json"
  touch -d "$4" "$home/$2.json"
}
record postgresql 000001-20200101T000000Z-aaaaaa passed '60 days ago' none
record mariadb 000001-20200101T000000Z-bbbbbb passed '60 days ago' none
