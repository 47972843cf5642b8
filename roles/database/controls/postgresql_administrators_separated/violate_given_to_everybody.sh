#!/bin/sh
# expect: in database postgres set_user_u(text) may be called by PUBLIC
# with: administrators: [{person: Zhao, role: system, account: admin}, {person: Li, role: database, account: dba_li}, {person: Sun, role: security, account: sec_sun}, {person: Wu, role: audit, account: wu}]
# kind: db
# The file is right; ALTER SYSTEM opened the list to everybody, and the function was given back to PUBLIC.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install postgresql-15-set-user > /dev/null
printf "shared_preload_libraries = 'set_user'\nset_user.superuser_allowlist = 'dba_li'\nset_user.nosuperuser_target_allowlist = ''\n" \
  > /etc/postgresql/15/main/conf.d/set_user.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE dba_li LOGIN' -c 'CREATE ROLE sec_sun LOGIN' \
  -c 'CREATE EXTENSION set_user' -c 'GRANT EXECUTE ON FUNCTION set_user_u(text) TO PUBLIC, dba_li' \
  -c "ALTER SYSTEM SET set_user.superuser_allowlist = '*'"
systemctl reload postgresql@15-main.service
sleep 1
