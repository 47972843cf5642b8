#!/bin/sh
# expect: it agreed on a protocol before TLS 1.2 when that was tried
# kind: db
# A supplier's file allows protocols and ciphers of long ago, and brings a certificate that is as old.
set -eu
cd /etc/mysql
openssl req -newkey rsa:2048 -nodes -subj /CN=old -keyout old.key -out old.csr 2> /dev/null
openssl x509 -req -days -1 -signkey old.key -in old.csr -out old.crt 2> /dev/null
chown mysql old.key
printf '[mariadb]\nbind-address = 0.0.0.0\nssl_cert = /etc/mysql/old.crt\nssl_key = /etc/mysql/old.key\ntls_version = TLSv1.0,TLSv1.1,TLSv1.2\nssl_cipher = ALL:eNULL:@SECLEVEL=0\n' \
  > mariadb.conf.d/99-vendor.cnf
systemctl restart mariadb
