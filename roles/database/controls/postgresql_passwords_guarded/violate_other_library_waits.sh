#!/bin/sh
# expect: weak passwords were taken when they were tried: of six characters
# lasting: the server has restarted, with the settings that waited for it
# kind: db
# Pgaudit is loaded, and must stay so; the guard of passwords was added by ALTER SYSTEM and never loaded. Overruled besides: the encryption.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npassword_encryption = md5\n" > /etc/postgresql/15/main/conf.d/zzz-site.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET shared_preload_libraries = pgaudit, passwordcheck, auth_delay"
systemctl reload postgresql@15-main.service
sleep 1
