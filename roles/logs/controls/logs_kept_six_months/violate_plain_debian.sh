#!/bin/sh
# expect: /var/log/btmp is kept 28 days (monthly, rotate 1), 190 are required
# As Debian ships it: system logs for four weeks, logins for one month.
set -eu
systemctl is-active --quiet rsyslog logrotate.timer
