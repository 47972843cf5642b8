#!/bin/sh
# expect: rsyslog writes to no file what the journal has
# journald keeps everything to itself; the log files stay empty.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nForwardToSyslog=no\n' > /etc/systemd/journald.conf.d/50-site.conf
systemctl restart systemd-journald
