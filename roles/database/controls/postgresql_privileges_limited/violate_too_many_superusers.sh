#!/bin/sh
# expect: superusers that may log in besides postgres, of whom 1 may be: li, wang
# kind: db
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE li SUPERUSER LOGIN' -c 'CREATE ROLE wang SUPERUSER LOGIN' -c 'CREATE ROLE old SUPERUSER'
