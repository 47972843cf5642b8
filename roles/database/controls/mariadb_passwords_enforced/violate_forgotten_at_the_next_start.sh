#!/bin/sh
# expect: after a restart simple_password_check_minimal_length is 6; after a restart max_password_errors is 4294967295; after a restart default_password_lifetime is 0
# kind: db
# Set by hand and right for now; a file that is read at the next start says less.
set -eu
printf '[mariadb]\nloose-simple-password-check-minimal-length = 6\n' > /etc/mysql/mariadb.conf.d/zzz-vendor.cnf
mariadb -e "INSTALL SONAME 'simple_password_check'; SET GLOBAL simple_password_check_minimal_length = 8, max_password_errors = 5, default_password_lifetime = 90"
