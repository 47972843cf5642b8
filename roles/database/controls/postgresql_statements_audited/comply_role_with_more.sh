#!/bin/sh
# kind: db
# One account is audited more closely than the others: nothing is cut.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%t [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -c 'CREATE ROLE vendor LOGIN' -c "ALTER ROLE vendor SET pgaudit.log = 'all'"
