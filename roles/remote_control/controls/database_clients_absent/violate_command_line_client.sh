#!/bin/sh
# expect: Command-line database clients: package postgresql-client-15
# lasting: a program that was ended is not started again
# A terminal that has PostgreSQL's client; a copy of it under an innocent name runs, and a cron line would start it.
set -eu
apt-get -qq -y install postgresql-client > /dev/null 2>&1
install -m 0755 -o admin -g admin /usr/lib/postgresql/15/bin/psql /home/admin/report
printf '@daily psql -h 10.66.1.20 his -f /home/admin/fix-prices.sql\n' | crontab -u admin -
setsid python3 -c 'import socket, time; server = socket.create_server(("127.0.0.1", 5999)); time.sleep(9e6)' > /dev/null 2>&1 < /dev/null &
sleep 1
setsid runuser -u admin -- /home/admin/report -h 127.0.0.1 -p 5999 -d his > /dev/null 2>&1 < /dev/null &
sleep 1
