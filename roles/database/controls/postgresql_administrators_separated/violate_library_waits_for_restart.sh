#!/bin/sh
# expect: set_user is not loaded
# lasting: the server has restarted, with the settings that waited for it
# with: administrators: [{person: Zhao, role: system, account: admin}, {person: Li, role: database, account: dba_li}, {person: Sun, role: security, account: sec_sun}, {person: Wu, role: audit, account: wu}]
# kind: db
# Installed and written down; the extension is there and even lets the administrator escalate. The server was never restarted.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install postgresql-15-set-user > /dev/null
printf "shared_preload_libraries = 'set_user'\nset_user.superuser_allowlist = 'dba_li'\nset_user.nosuperuser_target_allowlist = ''\n" \
  > /etc/postgresql/15/main/conf.d/set_user.conf
systemctl reload postgresql@15-main.service
sleep 1
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE dba_li LOGIN' -c 'CREATE ROLE sec_sun LOGIN' \
  -c 'CREATE EXTENSION set_user' -c 'GRANT EXECUTE ON FUNCTION set_user_u(text) TO dba_li'
