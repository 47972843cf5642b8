#!/bin/sh
# expect: a scheduled job deletes logs: /etc/systemd/system/tidy.service
# The rules are in order. A unit, a rule's own script, an age in tmpfiles.d and a user's table delete all the same.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "find /var/log -name *.gz -mtime +7 -delete"\n' > /etc/systemd/system/tidy.service
systemctl daemon-reload
sed -i 's,endscript,  rm -f /var/log/auth.log.2.gz\n\tendscript,' /etc/logrotate.d/rsyslog
echo 'd /var/log/apt 0755 root root 30d' > /etc/tmpfiles.d/site.conf
echo '@weekly journalctl --vacuum-size=100M' | crontab -
