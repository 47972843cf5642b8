#!/bin/sh
# kind: db
# with: administrators: [security]
# One superuser beside postgres, one registered administrator; the application owns its database and reads everything in it.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE dba SUPERUSER LOGIN' -c 'CREATE ROLE security LOGIN CREATEROLE' \
  -c 'CREATE ROLE his LOGIN CREATEDB IN ROLE pg_read_all_data' -c 'CREATE DATABASE his OWNER his'
