#!/bin/sh
# expect: has not read its settings since they changed
# lasting: the daemon has read its settings
# The file says no, the running daemon never read it.
set -eu
systemctl restart ssh
sleep 3
sed -i '1i PermitRootLogin no' /etc/ssh/sshd_config
