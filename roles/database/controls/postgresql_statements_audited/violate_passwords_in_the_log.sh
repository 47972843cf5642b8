#!/bin/sh
# expect: passwords in statements reach the log in clear: log_statement=ddl
# kind: db
# Audited, and beside it the server's own log_statement writes CREATE ROLE ... PASSWORD as it was typed.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\nlog_statement = ddl\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
