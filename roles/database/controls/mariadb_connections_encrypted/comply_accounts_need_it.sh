#!/bin/sh
# kind: db
# The server itself requires nothing; each account that may come over the network does, and root does not come.
set -eu
cd /etc/mysql
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=his-db -keyout his.key -out his.crt 2> /dev/null
chown mysql his.key
printf '[mysqld]\nbind-address = 0.0.0.0\nssl-cert = /etc/mysql/his.crt\nssl-key = /etc/mysql/his.key\ntls_version = TLSv1.3\n' > mariadb.conf.d/99-his.cnf
systemctl restart mariadb
mariadb -e "CREATE USER his@'10.%' IDENTIFIED BY 'Zhu-2026-yuan' REQUIRE SSL; CREATE USER root@'%' IDENTIFIED BY 'Zhu-2026-yuan' ACCOUNT LOCK"
