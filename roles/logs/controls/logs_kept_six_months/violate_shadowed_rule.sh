#!/bin/sh
# expect: is kept 7 days (after 1 days, rotate 7), 190 are required
# The package's rule keeps for long, but logrotate gives the log to the file that it reads first and rejects the second.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf '/var/log/auth.log\n/var/log/syslog {\n\tdaily\n\trotate 7\n\tmissingok\n}\n' > /etc/logrotate.d/00-site
