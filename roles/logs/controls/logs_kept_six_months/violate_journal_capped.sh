#!/bin/sh
# expect: the files of the journal system cover 20 days (SystemMaxFiles x MaxFileSec)
# No age limit at all, but few, short files and little room; and the last of two drop-ins counts.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nMaxRetentionSec=1year\nSystemMaxUse=4G\n' > /etc/systemd/journald.conf.d/10-site.conf
printf '[Journal]\nSystemMaxUse=64M\nMaxFileSec=2day\nSystemMaxFiles=10\n' > /etc/systemd/journald.conf.d/zzz-small.conf
systemctl restart systemd-journald
