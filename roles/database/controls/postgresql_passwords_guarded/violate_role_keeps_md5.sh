#!/bin/sh
# expect: new passwords of role his database his are kept as md5
# kind: db
# The server's own settings are right; one role in one database has its own, for a driver of ten years ago.
set -eu
printf "shared_preload_libraries = 'passwordcheck,auth_delay'\nauth_delay.milliseconds = 700\n" > /etc/postgresql/15/main/conf.d/site.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' \
  -c "ALTER ROLE his IN DATABASE his SET password_encryption = 'md5'"
