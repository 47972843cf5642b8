#!/bin/sh
# expect: PostgreSQL 15 (port 5433, /var/lib/postgresql/15/old): the certificate that it shows holds from
# kind: db
# The server that everybody knows listens on loopback; a second one listens everywhere, with a certificate of long ago.
set -eu
pg_createcluster 15 old --port 5433 > /dev/null
cd /var/lib/postgresql/15/old
openssl req -newkey rsa:2048 -nodes -subj /CN=old -keyout old.key -out old.csr 2> /dev/null
openssl x509 -req -days -1 -signkey old.key -in old.csr -out old.crt 2> /dev/null
chown postgres: old.key old.crt
printf "listen_addresses = '*'\nssl_cert_file = 'old.crt'\nssl_key_file = 'old.key'\n" > /etc/postgresql/15/old/conf.d/old.conf
systemctl start postgresql@15-old.service
