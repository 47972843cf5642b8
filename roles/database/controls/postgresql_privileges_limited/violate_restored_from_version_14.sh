#!/bin/sh
# expect: everybody may create in database lis, schema public
# kind: db
# One database of two came by a dump of an old server, with that server's rights.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c 'CREATE DATABASE his' -c 'CREATE DATABASE lis'
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -d lis -c 'GRANT CREATE ON SCHEMA public TO PUBLIC'
