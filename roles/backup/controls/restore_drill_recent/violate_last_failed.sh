#!/bin/sh
# expect: did not pass: failed
# One passed, and the one after it did not.
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
for product in postgresql mariadb; do
  record $product 000001-20200101T000000Z-aaaaaa passed '2 days ago' none
  previous=$(sha256sum < /var/lib/medsec/drills/$product/000001-20200101T000000Z-aaaaaa.json | cut -d' ' -f1)
  record $product 000002-20200102T000000Z-aaaaaa failed '1 day ago' "$previous"
done
