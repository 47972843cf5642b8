#!/bin/sh
# expect: root may log in: permitrootlogin yes for a connection with user=root,host=client.invalid,addr=10.66.1.0
# Refused for everyone but for one network: the global setting reads well and is not what counts.
set -eu
sed -i '1i PermitRootLogin no' /etc/ssh/sshd_config
printf 'Match Address 10.66.1.0/24\n\tPermitRootLogin yes\n' >> /etc/ssh/sshd_config
systemctl reload ssh
