#!/bin/sh
# expect: rsyslog writes to no file what the journal has (auth)
# rsyslog runs and every rule keeps for long; a rule that is read early throws logins away.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
printf 'auth,authpriv.* stop\n' > /etc/rsyslog.d/10-quiet.conf
systemctl restart rsyslog
