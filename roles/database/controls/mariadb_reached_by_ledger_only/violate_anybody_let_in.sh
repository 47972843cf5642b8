#!/bin/sh
# expect: @localhost has no name: anybody is let in; every account may use database test (granted to PUBLIC)
# kind: db
# What mariadb-install-db leaves where nobody secured it: an account without a name, and a database for everybody.
set -eu
printf '[mysqld]\nlocal_infile = OFF\n' > /etc/mysql/mariadb.conf.d/70-infile.cnf
systemctl restart mariadb
mariadb -e "CREATE USER ''@localhost; CREATE DATABASE IF NOT EXISTS test; GRANT ALL ON test.* TO PUBLIC; GRANT ALL ON \`test\\_%\`.* TO PUBLIC"
