#!/bin/sh
# kind: terminal
# expect: /home/admin/Desktop/Test_his.sql.gz is named like test data
# A copy of the database that somebody exported for a test and left on a terminal.
set -eu
install -d -o admin -g admin /home/admin/Desktop
printf 'INSERT INTO patients\n' | gzip > /home/admin/Desktop/Test_his.sql.gz
