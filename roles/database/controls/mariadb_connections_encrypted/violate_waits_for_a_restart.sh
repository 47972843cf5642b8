#!/bin/sh
# expect: it offers no TLS: a handshake with it came to nothing; MariaDB (/run/mysqld/mysqld.sock): his@10.% may come over the network
# kind: db
# with: required: true
# lasting: the server has restarted, with the settings that waited for it
# The files say all that is needed; the server has not read them.
set -eu
cd /etc/mysql
printf '[mysqld]\nbind-address = 0.0.0.0\n' > mariadb.conf.d/98-his.cnf
systemctl restart mariadb
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=his-db -keyout his.key -out his.crt 2> /dev/null
chown mysql his.key
printf '[mysqld]\nssl-cert = /etc/mysql/his.crt\nssl-key = /etc/mysql/his.key\nrequire-secure-transport\n' > mariadb.conf.d/99-his.cnf
mariadb -e "CREATE USER his@'10.%' IDENTIFIED BY 'Zhu-2026-yuan'"
