#!/bin/sh
# expect: /etc/shadow.bak has mode 0644
# A copy that somebody made before an edit is as good as the original.
set -eu
chmod 0600 /etc/ssh/sshd_config /etc/crontab
cp /etc/shadow /etc/.shadow.swp
cp /etc/shadow /etc/shadow.bak
chmod 0644 /etc/shadow.bak /etc/.shadow.swp
