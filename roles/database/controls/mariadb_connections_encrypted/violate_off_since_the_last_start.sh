#!/bin/sh
# expect: his@10.% may come over the network without encryption (require_secure_transport is OFF)
# kind: db
# with: required: true
# The file requires TLS, and a good certificate is there; somebody switched the requirement off in the running server.
set -eu
cd /etc/mysql
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=his-db -keyout his.key -out his.crt 2> /dev/null
chown mysql his.key
printf '[mysqld]\nbind-address = 0.0.0.0\nssl-cert = /etc/mysql/his.crt\nssl-key = /etc/mysql/his.key\nrequire-secure-transport\n' > mariadb.conf.d/99-his.cnf
systemctl restart mariadb
mariadb -e "CREATE USER his@'10.%' IDENTIFIED BY 'Zhu-2026-yuan'; SET GLOBAL require_secure_transport = OFF"
