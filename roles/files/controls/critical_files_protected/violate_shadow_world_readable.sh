#!/bin/sh
# expect: /etc/shadow has mode 0644, at most 0640 is accepted
# The shadow file was opened for a script that wanted to read it.
set -eu
chmod 0644 /etc/shadow
chmod 0600 /etc/ssh/sshd_config /etc/crontab
