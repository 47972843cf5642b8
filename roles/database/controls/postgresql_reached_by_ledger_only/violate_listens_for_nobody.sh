#!/bin/sh
# expect: it listens on «*», and the ledger registers no addresses for it
# kind: db
# The rules let nobody in from the network; the port is open all the same, by a setting that is read after every file.
set -eu
printf 'local all postgres peer\nlocal all all scram-sha-256\n' > /etc/postgresql/15/main/pg_hba.conf
runuser -u postgres -- psql -q -c "ALTER SYSTEM SET listen_addresses = '*'"
systemctl restart postgresql@15-main.service
