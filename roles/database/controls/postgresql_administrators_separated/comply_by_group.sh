#!/bin/sh
# with: administrators: [{person: Zhao, role: system, account: admin}, {person: Li, role: database, account: dba_li}, {person: Sun, role: security, account: sec_sun}, {person: Wu, role: audit, account: wu}]
# kind: db
# By ALTER SYSTEM, beside another library; administrators are let in as a group, and in the application's database too.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install postgresql-15-set-user > /dev/null
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'ALTER SYSTEM SET shared_preload_libraries = pg_stat_statements, set_user'
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE dbas' -c 'CREATE ROLE dba_li LOGIN IN ROLE dbas' -c 'CREATE ROLE sec_sun LOGIN' \
  -c "ALTER SYSTEM SET set_user.superuser_allowlist = '+dbas'" -c "ALTER SYSTEM SET set_user.nosuperuser_target_allowlist = 'his'" \
  -c 'CREATE ROLE his LOGIN' -c 'CREATE DATABASE his OWNER his' -c 'CREATE EXTENSION set_user' -c 'GRANT EXECUTE ON FUNCTION set_user_u(text) TO dbas'
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -d his -c 'CREATE EXTENSION set_user' -c 'GRANT EXECUTE ON FUNCTION set_user_u(text), set_user(text) TO dbas'
systemctl reload postgresql@15-main.service
sleep 1
