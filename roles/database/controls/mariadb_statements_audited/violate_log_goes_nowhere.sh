#!/bin/sh
# expect: a statement just made is not in its audit log (file server_audit.log)
# lasting: the server has restarted, and writes to a file again
# kind: db
# The file was moved away under the running server, as a careless log rotation does: it goes on writing to what nobody finds.
set -eu
printf '[mysqld]\nplugin_load_add = server_audit\nserver_audit = FORCE_PLUS_PERMANENT\nserver_audit_logging = ON\nserver_audit_file_rotations = 0\n' \
  > /etc/mysql/mariadb.conf.d/70-audit.cnf
systemctl restart mariadb
rm /var/lib/mysql/server_audit.log
