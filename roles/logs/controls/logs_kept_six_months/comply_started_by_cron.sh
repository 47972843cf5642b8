#!/bin/sh
# Rotated each day or by size, started by cron instead of the timer: as many files as days, or files that are never removed.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 200/; s/^([[:space:]]*)(weekly|monthly)/\1daily\n\1maxsize 50M/' /etc/logrotate.d/*
sed -i -E 's/rotate 200/rotate -1/' /etc/logrotate.d/wtmp
systemctl disable --now logrotate.timer
printf '20 3 * * * root /usr/sbin/logrotate /etc/logrotate.conf\n' > /etc/cron.d/site
