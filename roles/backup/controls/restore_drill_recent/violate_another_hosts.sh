#!/bin/sh
# expect: cannot be believed: it is of
# A record was brought here from another server.
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
record postgresql 000001-20200101T000000Z-aaaaaa passed yesterday none
record mariadb 000001-20200101T000000Z-aaaaaa passed yesterday none
for product in postgresql mariadb; do
  sed -i 's/"machine": "[0-9a-f]*"/"machine": "0123"/; s/"host": "[^"]*"/"host": "another"/' /var/lib/medsec/drills/$product/000001-20200101T000000Z-aaaaaa.json
  touch -d yesterday /var/lib/medsec/drills/$product/000001-20200101T000000Z-aaaaaa.json
done
