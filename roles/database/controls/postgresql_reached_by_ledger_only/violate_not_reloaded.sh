#!/bin/sh
# expect: was let in from 127.0.0.1 without a password when it was tried
# lasting: the server has read the file
# kind: db
# The file is right, and as old as the server; it was read before it was put back in place, when it still said trust.
set -eu
cd /etc/postgresql/15/main
printf 'local all postgres peer\nhost all postgres all reject\n' > good.conf
cat good.conf > pg_hba.conf
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN'
printf 'local all postgres peer\nhost all all 127.0.0.1/32 trust\n' > pg_hba.conf
systemctl reload postgresql@15-main.service
sleep 1
cat good.conf > pg_hba.conf
rm good.conf
touch -d '2 days ago' pg_hba.conf
