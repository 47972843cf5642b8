#!/bin/sh
# expect: root@% may do anything and comes over the network: administration is local (ACCOUNT LOCK); vendor@10.% may do anything
# kind: db
# root from everywhere beside the local one, and a supplier whose power comes by a role alone.
set -eu
printf '[mysqld]\nlocal_infile = OFF\n' > /etc/mysql/mariadb.conf.d/70-infile.cnf
systemctl restart mariadb
mariadb -e "CREATE USER root@'%' IDENTIFIED BY 'Zhu-2026-yuan'; GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
  CREATE USER vendor@'10.%' IDENTIFIED BY 'Zhu-2026-yuan'; CREATE ROLE upkeep; GRANT SUPER ON *.* TO upkeep; GRANT upkeep TO vendor@'10.%'"
