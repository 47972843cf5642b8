#!/bin/sh
# expect: it offers no TLS (ssl is off)
# kind: db
# lasting: the server has read its files
# The file says on, and what ALTER SYSTEM said is gone from disk; the server still goes by it.
set -eu
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -c "ALTER SYSTEM SET listen_addresses = '*'" -c 'ALTER SYSTEM SET ssl = off'
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -q -c 'ALTER SYSTEM RESET ssl'
