#!/bin/sh
# kind: db
# All of it by ALTER SYSTEM, beside another library; an account's password has ended, and one has none.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements, auth_delay, passwordcheck"
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET auth_delay.milliseconds = '1s'" -c 'CREATE ROLE report LOGIN' \
  -c "CREATE ROLE his LOGIN PASSWORD 'Right-1234' VALID UNTIL '2020-01-01'"
systemctl reload postgresql@15-main.service
sleep 1
