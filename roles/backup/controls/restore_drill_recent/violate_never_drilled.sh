#!/bin/sh
# expect: no restore drill is on record
# Backups may lie there for years; nobody has ever brought one back.
set -eu
mkdir -p /var/lib/medsec/drills/postgresql
