#!/bin/sh
# expect: is empty
# The job runs, the disk was full: files of no bytes. A later run with room makes good ones.
set -eu
run=/var/backups/medsec/postgresql/20200101T000000Z/15-main
mkdir -p "$run"
touch -d '3 days ago' "$run/postgres.dump"
mkdir -p /var/backups/medsec/mariadb/20200101T000000Z
touch -d '3 days ago' /var/backups/medsec/mariadb/20200101T000000Z/mysql.sql.gz
chmod 700 /var/backups/medsec
