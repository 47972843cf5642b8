#!/bin/sh
# kind: db
# In the main option file, into a file of its own that is rotated late, and with more events than must be.
set -eu
install -d -o mysql -g mysql -m 0750 /var/log/mysql
printf '\n[mariadb]\nplugin-load-add = server_audit.so\nserver-audit = force_plus_permanent\nserver-audit-logging = 1\nserver-audit-events = query_ddl,TABLE,query,connect\nserver-audit-output-type = file\nserver-audit-file-path = /var/log/mysql\nserver-audit-file-rotate-size = 1G\nserver-audit-file-rotations = 20\n' \
  >> /etc/mysql/mariadb.cnf
systemctl restart mariadb
