#!/bin/sh
# expect: lets the superuser wang in over the network
# kind: db
# with: listens: [{port: 22, protocol: tcp, process: sshd, sources: [management]}, {port: 5432, protocol: tcp, process: postgres, sources: [management]}]
# Nobody is named in the rule but a group; a superuser is in a group of that group. Local logins need no password either.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE vendors' -c 'CREATE ROLE his_team IN ROLE vendors' \
  -c 'CREATE ROLE wang SUPERUSER LOGIN IN ROLE his_team' -c 'CREATE ROLE his LOGIN IN ROLE his_team'
console=$(hostname -I | cut -d' ' -f1 | sed 's/[0-9]*$/1/')
printf 'local all postgres peer\nlocal all all trust\nhost all postgres all reject\nhost all +vendors %s/32 scram-sha-256\n' "$console" \
  > /etc/postgresql/15/main/pg_hba.conf
systemctl reload postgresql@15-main.service
sleep 1
