#!/bin/sh
# kind: db
# expect: postgresql schema his.uat_2024 is named like test data
# Left over on both servers: a schema in the live database, a demonstration account, MariaDB's `test`.
set -eu
runuser -u postgres -- psql -qX -c 'CREATE DATABASE his'
runuser -u postgres -- psql -qX -d his -c 'CREATE SCHEMA uat_2024' -c 'CREATE ROLE demo_cashier NOLOGIN'
mariadb -e 'CREATE DATABASE IF NOT EXISTS test'
