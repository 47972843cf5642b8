#!/bin/sh
# expect: journald has not read its settings since they changed: /etc/systemd/journald.conf.d
# lasting: the daemon has read its settings
# The files say the right thing; the running daemon has never read them.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nMaxRetentionSec=7day\n' > /etc/systemd/journald.conf.d/50-site.conf
systemctl restart systemd-journald
printf '[Journal]\nMaxRetentionSec=1year\n' > /etc/systemd/journald.conf.d/50-site.conf
