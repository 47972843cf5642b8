#!/bin/sh
# expect: dba_li may without escalation ALTER SYSTEM pgaudit.log
# with: administrators: [{person: Zhao, role: system, account: admin}, {person: Li, role: database, account: dba_li}, {person: Sun, role: security, account: sec_sun}, {person: Wu, role: audit, account: wu}]
# kind: db
# All as it should be, but the administrator was given what belongs to the security administrator, and what is said after escalation is no longer logged.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install postgresql-15-set-user > /dev/null
printf "shared_preload_libraries = 'set_user'\nset_user.superuser_allowlist = 'dba_li'\nset_user.nosuperuser_target_allowlist = ''\n" \
  > /etc/postgresql/15/main/conf.d/set_user.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE dba_li LOGIN' -c 'CREATE ROLE sec_sun LOGIN' \
  -c 'CREATE EXTENSION set_user' -c 'GRANT EXECUTE ON FUNCTION set_user_u(text) TO dba_li' \
  -c 'GRANT SET, ALTER SYSTEM ON PARAMETER pgaudit.log TO dba_li' -c 'ALTER SYSTEM SET set_user.block_log_statement = off'
systemctl reload postgresql@15-main.service
sleep 1
