#!/bin/sh
# Refused by name, whatever PermitRootLogin says.
set -eu
echo 'DenyUsers root' > /etc/ssh/sshd_config.d/50-site.conf
systemctl reload ssh
