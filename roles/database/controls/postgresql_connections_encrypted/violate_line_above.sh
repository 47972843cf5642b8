#!/bin/sh
# expect: pg_hba.conf:2 «host his his 10.0.0.0/8 scram-sha-256» lets 10.0.0.0/10
# kind: db
# with: required: true
# TLS is offered, and the last lines want it; the line above them came first.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' -c "ALTER SYSTEM SET listen_addresses = '*'"
cat > /etc/postgresql/15/main/pg_hba.conf << 'RULES'
local   all postgres peer
host    his his 10.0.0.0 255.0.0.0 scram-sha-256
hostssl all all 0.0.0.0/0 scram-sha-256
RULES
systemctl restart postgresql@15-main.service
