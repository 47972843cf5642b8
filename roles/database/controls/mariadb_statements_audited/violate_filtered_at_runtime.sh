#!/bin/sh
# expect: server_audit_events is «QUERY_DDL,QUERY_DCL» and leaves out CONNECT, QUERY, TABLE; server_audit_excl_users is «root»
# kind: db
# The files are right and the server has read them; since then an administrator has narrowed the audit and left himself out.
set -eu
printf '[mysqld]\nplugin_load_add = server_audit\nserver_audit = FORCE_PLUS_PERMANENT\nserver_audit_logging = ON\nserver_audit_output_type = syslog\n' \
  > /etc/mysql/mariadb.conf.d/70-audit.cnf
systemctl restart mariadb
mariadb -e "SET GLOBAL server_audit_events = 'QUERY_DDL,QUERY_DCL'; SET GLOBAL server_audit_excl_users = 'root'"
