#!/bin/sh
# expect: pg_hba.conf:3 «host his his 10.0.0.0/8 scram-sha-256» lets in
# kind: db
# with: listens: [{port: 22, protocol: tcp, process: sshd, sources: [management]}, {port: 5432, protocol: tcp, process: postgres, sources: [management]}]
# The last lines refuse everybody, as the hospital's rules want it; the line above them came first.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his'
cat > /etc/postgresql/15/main/pg_hba.conf << 'RULES'
local all postgres peer
host  all postgres all reject
host  his his 10.0.0.0 255.0.0.0 scram-sha-256
host  all all 0.0.0.0/0 reject
host  all all ::/0 reject
RULES
systemctl reload postgresql@15-main.service
sleep 1
