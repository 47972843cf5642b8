#!/bin/sh
# expect: audit is cut for everybody by log_min_messages=fatal
# kind: db
# Loaded and set, but the server writes nothing below FATAL: no AUDIT line ever reaches the log.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\nlog_min_messages = fatal\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
