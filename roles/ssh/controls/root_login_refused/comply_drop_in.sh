#!/bin/sh
# Refused by the site's own drop-in.
set -eu
echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/50-site.conf
systemctl reload ssh
