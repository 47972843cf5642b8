#!/bin/sh
# expect: it listens at 0.0.0.0:3306, and the ledger registers no other host for that; local_infile is ON
# kind: db
# The main settings say loopback; a supplier's file, read after them, opened the server, and LOAD DATA LOCAL came back at run time.
set -eu
printf '[mariadb]\nbind-address = 0.0.0.0\nloose-local-infile = 0\n' > /etc/mysql/mariadb.conf.d/99-vendor.cnf
systemctl restart mariadb
mariadb -e 'SET GLOBAL local_infile = ON'
