#!/bin/sh
# expect: forced by /etc/cron.d/tidy), 190 are required
# A second, forced run each hour rotates whatever the rules say.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf '/var/log/faillog {\n  weekly\n  rotate 200\n}\n' > /etc/logrotate-site.conf
printf '7 * * * * root /usr/sbin/logrotate -f -s /run/tidy.state /etc/logrotate-site.conf\n' > /etc/cron.d/tidy
