#!/bin/sh
# kind: db
# with: {tables: [{product: postgresql, database: his, table: public.price_list}], approved: [{host: db, change: BG-1, approver: 王建国, approved: '2026-01-05T09:00:00+08:00', tables: [{product: postgresql, database: his, table: public.price_list, rows: 100, hash: '1', definition: '1'}]}]}
# expect: rows 100 -> 60; more than 5 % of its 100 rows are gone: a class-1 fault
# The older half of the list was deleted, by whom no audit tells.
set -eu
runuser -u postgres -- psql -qX -c 'CREATE DATABASE his'
runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 -d his -c 'CREATE TABLE price_list (code int PRIMARY KEY, price int)' \
  -c 'INSERT INTO price_list SELECT n, n FROM generate_series(1, 100) n' -c 'DELETE FROM price_list WHERE code <= 40'
