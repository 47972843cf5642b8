#!/bin/sh
# expect: logrotate.service does not run logrotate with /etc/logrotate.conf but: /bin/true
# The timer is set and ticks; what it starts does nothing.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
mkdir -p /etc/systemd/system/logrotate.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/true\n' > /etc/systemd/system/logrotate.service.d/quiet.conf
systemctl daemon-reload
