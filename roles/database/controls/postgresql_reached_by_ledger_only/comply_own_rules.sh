#!/bin/sh
# kind: db
# with: listens: [{port: 22, protocol: tcp, process: sshd, sources: [management]}, {port: 5432, protocol: tcp, process: postgres, sources: [management]}]
# The site's own rules: narrower than the ledger, superusers refused by name, and a wide old line that no connection reaches.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' -c "ALTER SYSTEM SET listen_addresses = '*'"
console=$(hostname -I | cut -d' ' -f1 | sed 's/[0-9]*$/1/')
cat > /etc/postgresql/15/main/pg_hba.conf << RULES
local   all             postgres      peer
local   all             all           scram-sha-256
host    all,replication postgres      all             reject
hostssl his             his           $console/32     scram-sha-256
host    sameuser        his           samehost        scram-sha-256
host    all             all           all             reject
host    all             all           0.0.0.0/0       md5
RULES
systemctl restart postgresql@15-main.service
