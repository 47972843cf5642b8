#!/bin/sh
# expect: pgaudit.log is «all, -all, ddl» and leaves out role, write
# kind: db
# The drop-in is right; somebody turned most of it off with ALTER SYSTEM, which is read after every file.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET pgaudit.log = 'all, -all, ddl'" -c "SELECT pg_reload_conf()" > /dev/null
sleep 1
