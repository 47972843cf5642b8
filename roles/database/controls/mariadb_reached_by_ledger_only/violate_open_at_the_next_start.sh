#!/bin/sh
# expect: after a restart it listens at *, and the ledger registers no other host for that; after a restart local_infile is ON
# kind: db
# Everything is shut now, by what no file says any more: the next start opens it.
set -eu
mariadb -e 'SET GLOBAL local_infile = OFF'
sed -i '/^bind-address/d' /etc/mysql/mariadb.conf.d/50-server.cnf
