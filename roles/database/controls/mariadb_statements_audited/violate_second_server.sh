#!/bin/sh
# expect: MariaDB (/run/mysqld/lis.sock): server_audit is not loaded
# lasting: the second server has restarted, with the settings that waited for it
# kind: db
# The first server is audited; a second one, for another system, runs beside it since before that was written down.
set -eu
printf '[mysqld.lis]\ndatadir = /var/tmp/lis\nsocket = /run/mysqld/lis.sock\npid-file = /run/mysqld/lis.pid\nport = 3307\n' \
  > /etc/mysql/mariadb.conf.d/60-lis.cnf
install -d -o mysql -g mysql /var/tmp/lis
systemctl start mariadb@lis
printf '[mysqld]\nplugin_load_add = server_audit\nserver_audit = FORCE_PLUS_PERMANENT\nserver_audit_logging = ON\nserver_audit_output_type = syslog\n' \
  > /etc/mysql/mariadb.conf.d/70-audit.cnf
systemctl restart mariadb
