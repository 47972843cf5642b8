#!/bin/sh
# kind: db
# expect: runs a program that was replaced on the disk since it started (/usr/lib/postgresql/15/bin/postgres)
# The program was installed anew under the server that runs, which nobody restarted.
set -eu
cd /usr/lib/postgresql/15/bin
cp -p postgres postgres.new
mv postgres.new postgres
