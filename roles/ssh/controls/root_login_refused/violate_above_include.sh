#!/bin/sh
# expect: root may log in: permitrootlogin prohibit-password
# A line above Include beats every drop-in.
set -eu
sed -i '1i permitrootlogin = without-password' /etc/ssh/sshd_config
echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/00-site.conf
systemctl reload ssh
