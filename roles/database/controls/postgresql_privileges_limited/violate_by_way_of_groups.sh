#!/bin/sh
# expect: his has or can take on SUPERUSER, pg_execute_server_program
# kind: db
# The account itself has no attribute; a group of its group may run programs on the server, another one is a superuser.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE admins SUPERUSER' -c 'CREATE ROLE vendors IN ROLE pg_execute_server_program, admins' \
  -c 'CREATE ROLE his LOGIN NOINHERIT IN ROLE vendors'
