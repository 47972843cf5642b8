#!/bin/sh
# expect: pgaudit is not loaded
# lasting: the server has restarted, with the settings that waited for it
# kind: db
# Everything is written down, but the server was never restarted: it runs without pgaudit.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl reload postgresql@15-main.service
