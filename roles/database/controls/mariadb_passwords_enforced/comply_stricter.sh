#!/bin/sh
# kind: db
# Stricter, by INSTALL SONAME and the main option file; an application's account has a policy of its own.
set -eu
mariadb -e "INSTALL SONAME 'simple_password_check'"
printf '\n[server]\nsimple-password-check-minimal-length = 12\nsimple-password-check-digits = 2\nmax-password-errors = 3\ndefault-password-lifetime = 30\n' \
  >> /etc/mysql/mariadb.cnf
systemctl restart mariadb
mariadb -e "CREATE USER his@127.0.0.1 IDENTIFIED BY 'Zhu-2026-yuan-88' PASSWORD EXPIRE INTERVAL 60 DAY"
