#!/bin/sh
# expect: a scheduled job deletes logs: /usr/local/sbin/tidy:2: find /var/log
# Rules and journal are in order; a script of the site deletes behind their back.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf '#!/bin/sh\nfind /var/log -name "*.gz" -mtime +30 -delete\n' > /usr/local/sbin/tidy
chmod 755 /usr/local/sbin/tidy
printf '0 4 * * 0 root /usr/local/sbin/tidy\n5 4 * * * root journalctl --vacuum-time=4weeks\n' > /etc/cron.d/tidy
