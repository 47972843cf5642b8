#!/bin/sh
# kind: db
# expect: DBeaver and CloudBeaver: process
# lasting: a program that was ended is not started again
# A database server on which somebody runs DBeaver from a portable folder, and a web page serves Adminer (stand-ins: only the
# names matter). Its own clients are no finding.
set -eu
install -D -m 0755 /bin/sleep /srv/tools/dbeaver/dbeaver
install -D -m 0644 /dev/null /var/www/html/adminer-4.8.1.php
setsid /srv/tools/dbeaver/dbeaver infinity > /dev/null 2>&1 < /dev/null &
sleep 1
