#!/bin/sh
# expect: server_audit can be unloaded while the server runs: it is loaded with ON, not FORCE_PLUS_PERMANENT; the settings files do not force
# kind: db
# Everything is audited, but it was turned on by hand: anybody may unload it, and the next start forgets what it was told. A file
# that is read later than all others would switch it off in any case.
set -eu
printf '[mariadb]\nloose-server-audit-logging = OFF\n' > /etc/mysql/mariadb.conf.d/zzz-vendor.cnf
mariadb -e "INSTALL SONAME 'server_audit'; SET GLOBAL server_audit_output_type = 'syslog'; SET GLOBAL server_audit_logging = ON"
