#!/bin/sh
# kind: db
# with: {kept: [{name: mariadb database test, reason: 厂商验收, until: '2099-12-31'}, {name: postgresql account uat_his, reason: 接口联调, until: '2099-12-31'}]}
# What is registered until a day that is to come, a backup in the backups' home, and names that only look alike.
set -eu
mariadb -e 'CREATE DATABASE IF NOT EXISTS test; CREATE DATABASE attestations'
runuser -u postgres -- psql -qX -c 'CREATE ROLE uat_his NOLOGIN'
mkdir -p /var/backups/medsec/mariadb
: > /var/backups/medsec/mariadb/test.sql.gz
: > /srv/laboratory_tests.txt
