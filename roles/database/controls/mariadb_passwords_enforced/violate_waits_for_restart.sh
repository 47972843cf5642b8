#!/bin/sh
# expect: simple_password_check is not loaded
# kind: db
# Everything is written down, but the server was never restarted: any password will do.
set -eu
printf '[mysqld]\nplugin_load_add = simple_password_check\nsimple_password_check_minimal_length = 10\nmax_password_errors = 5\ndefault_password_lifetime = 90\n' \
  > /etc/mysql/mariadb.conf.d/70-passwords.cnf
