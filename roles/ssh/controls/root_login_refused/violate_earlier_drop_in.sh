#!/bin/sh
# expect: root may log in: permitrootlogin yes
# A vendor's drop-in is read before the drop-in that refuses, and sshd keeps the first value.
set -eu
echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-vendor.conf
echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/90-site.conf
systemctl reload ssh
