#!/bin/sh
# kind: db
# with: products: [postgresql, mariadb, oracle]
# with: versions: [{product: oracle, version: 19.28.0.0, newest: 19.28.0.0, read_by: 张敏, read: '{today}'}]
# Two servers that were restarted after their programs were installed anew, and one that people have looked at.
set -eu
for program in /usr/lib/postgresql/15/bin/postgres /usr/sbin/mariadbd; do
  cp -p "$program" "$program.new"
  mv "$program.new" "$program"
done
systemctl restart postgresql@15-main mariadb
