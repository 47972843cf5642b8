#!/bin/sh
# kind: db
# Set by ALTER SYSTEM, all classes, beside another library, into CSV files that the server collects itself.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements, pgaudit" \
  -c "ALTER SYSTEM SET log_destination = csvlog" -c "ALTER SYSTEM SET logging_collector = on"
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET pgaudit.log = 'all, -misc'"
systemctl reload postgresql@15-main.service
sleep 1
