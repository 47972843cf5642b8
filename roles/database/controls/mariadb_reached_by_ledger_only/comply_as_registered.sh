#!/bin/sh
# kind: db
# with: listens: [{port: 3306, protocol: tcp, process: mariadbd, sources: [clinic], purpose: {zh: 试验, en: trial}}]
# Open to the zone that the ledger registers, for an account of that zone; a root over the network is there, and locked.
set -eu
zone=$(hostname -I | tr ' ' '\n' | grep -m 1 '^10\.')
printf '[mysqld]\nbind-address = *\nskip-local-infile\n' > /etc/mysql/mariadb.conf.d/99-site.cnf
systemctl restart mariadb
mariadb -e "CREATE USER his@'${zone%.*}.%' IDENTIFIED BY 'Zhu-2026-yuan'; GRANT ALL ON his.* TO his@'${zone%.*}.%';
  CREATE USER root@'%' IDENTIFIED BY 'Zhu-2026-yuan'; GRANT ALL ON *.* TO root@'%'; ALTER USER root@'%' ACCOUNT LOCK"
