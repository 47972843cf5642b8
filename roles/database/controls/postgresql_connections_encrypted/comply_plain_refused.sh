#!/bin/sh
# kind: db
# with: required: true
# The site's own way: whoever comes without TLS is refused before the rules that let in, and this host may come as it likes.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' -c "ALTER SYSTEM SET listen_addresses = '*'" \
  -c "ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.3'"
cat > /etc/postgresql/15/main/pg_hba.conf << 'RULES'
local     all postgres peer
host      his his 127.0.0.1/32 scram-sha-256
hostnossl all all all reject
host      his his 10.0.0.0/8 scram-sha-256
RULES
systemctl restart postgresql@15-main.service
