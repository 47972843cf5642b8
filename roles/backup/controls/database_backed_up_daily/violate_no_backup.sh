#!/bin/sh
# expect: the timer medsec-database-backup@postgresql.timer is not-found
# A database server as it was installed: nothing is backed up.
set -eu
systemctl is-active postgresql mariadb
