#!/bin/sh
# expect: /etc/ssh/sshd_config has mode 0644
# As Debian ships it: sshd_config and crontab are readable by all.
set -eu
chmod 0644 /etc/ssh/sshd_config /etc/crontab
