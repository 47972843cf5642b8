#!/bin/sh
# expect: root may log in: permitrootlogin yes for a connection with user=root,host=client.invalid,addr=10.66.1.9
# Refused for everyone but for one address, which the block leaves out: an ordinary connection is refused.
set -eu
sed -i '1i PermitRootLogin yes' /etc/ssh/sshd_config
printf 'Match Address *,!10.66.1.9\n\tPermitRootLogin no\n' >> /etc/ssh/sshd_config
systemctl reload ssh
