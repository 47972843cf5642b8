#!/bin/sh
# expect: PostgreSQL 15 (port 5433, /var/lib/postgresql/15/lis): pgaudit is not loaded
# kind: db
# The first server is audited; a second one, for another system, runs beside it on another port.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
pg_createcluster 15 lis > /dev/null
systemctl start postgresql@15-lis.service
