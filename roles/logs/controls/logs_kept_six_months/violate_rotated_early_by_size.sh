#!/bin/sh
# expect: is kept 40 days (weekly, rotate 40, maxsize), 190 are required
# Forty weeks as long as nothing happens; a busy day rotates the file at once, and an attacker makes busy days.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
sed -i 's/^\tweekly/\tweekly\n\tmaxsize 10M/' /etc/logrotate.d/rsyslog
