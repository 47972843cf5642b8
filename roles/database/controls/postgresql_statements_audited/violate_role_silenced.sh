#!/bin/sh
# expect: audit is cut for role his database his by pgaudit.log=none
# kind: db
# The audit is on, but one account is left out of it in one database: the vendor's.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'all'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' \
  -c "ALTER ROLE his IN DATABASE his SET pgaudit.log = 'none'"
