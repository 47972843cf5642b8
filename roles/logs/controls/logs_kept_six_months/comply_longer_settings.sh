#!/bin/sh
# The site keeps a year, with its own numbers, some of them inherited from the main file.
set -eu
sed -i -E 's/^rotate [0-9]+/rotate 60/' /etc/logrotate.conf
sed -i -E '/^[[:space:]]*(rotate|weekly|monthly)/d' /etc/logrotate.d/*
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nMaxRetentionSec=2year\nSystemMaxUse=2G\n' > /etc/systemd/journald.conf.d/50-site.conf
systemctl restart systemd-journald
printf '0 4 * * 0 root find /var/log/site -mtime +400 -delete\n' > /etc/cron.d/site
