#!/bin/sh
# expect: /var/log/wtmp is kept 30 days (monthly, rotate 40, maxage 30), 190 are required
# A bare line in a file that is read early holds for every rule read after it, however many files these keep.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf 'maxage 30\n' > /etc/logrotate.d/00-site
