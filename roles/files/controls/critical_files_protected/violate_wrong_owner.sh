#!/bin/sh
# expect: /etc/hosts belongs to admin
# A user who owns the hosts file decides whom the names mean.
set -eu
chmod 0600 /etc/ssh/sshd_config /etc/crontab
chown admin:admin /etc/hosts
