#!/bin/sh
# expect: auditd overwrites its records: 5 files of 8 MB each (max_log_file_action = ROTATE)
# As both families ship it: a busy day's audit records are gone the next, whatever logrotate keeps.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
apt-get -qq -o Dpkg::Use-Pty=0 install auditd > /dev/null 2>&1
systemctl is-enabled -q auditd
