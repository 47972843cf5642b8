#!/bin/sh
# kind: db
# with: {tables: [{product: postgresql, database: his, table: public.price_list}], approved: [{host: db, change: BG-1, approver: 王建国, approved: '2026-01-05T09:00:00+08:00', tables: [{product: postgresql, database: his, table: public.price_list, rows: 100, hash: '7348741700322309957', definition: '-4178453830820434526'}]}]}
# expect: the audit would not tell who changes the tables: it is cut for role his (pgaudit.log=none)
# The prices are those approved, and the vendor's account may change them unseen.
set -eu
printf "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, role, write'\nlog_line_prefix = '%%m [%%p] %%u@%%d '\n" \
  > /etc/postgresql/15/main/conf.d/audit.conf
systemctl restart postgresql@15-main.service
runuser -u postgres -- psql -qX -c 'CREATE DATABASE his' -c 'CREATE ROLE his LOGIN' -c "ALTER ROLE his SET pgaudit.log = 'none'"
runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -d his -c 'CREATE TABLE price_list (code int PRIMARY KEY, price int)' \
  -c 'INSERT INTO price_list SELECT n, n FROM generate_series(1, 100) n'
