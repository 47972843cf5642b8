#!/bin/sh
# expect: simple_password_check_minimal_length is 4; simple_password_check_digits is 0; strict_password_validation is OFF
# kind: db
# The files ask for all of it; an administrator let short passwords and bare hashes through since the server started.
set -eu
printf '[mysqld]\nplugin_load_add = simple_password_check\nmax_password_errors = 5\ndefault_password_lifetime = 90\n' > /etc/mysql/mariadb.conf.d/70-passwords.cnf
systemctl restart mariadb
mariadb -e 'SET GLOBAL simple_password_check_minimal_length = 4, simple_password_check_digits = 0, strict_password_validation = OFF'
