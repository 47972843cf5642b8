#!/bin/sh
# expect: has not read its settings since they changed: /etc/ssh/sshd_config.d
# lasting: the daemon has read its settings
# The only drop-in is gone a moment after the daemon read it: what is left says no, and nothing of it is new.
set -eu
echo 'PermitRootLogin no' >> /etc/ssh/sshd_config
echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-vendor.conf
systemctl restart ssh
rm /etc/ssh/sshd_config.d/00-vendor.conf
