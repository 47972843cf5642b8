#!/bin/sh
# Once removed and masked; the logs and the emptied package's configuration are still there as evidence.
set -eu
systemctl mask --quiet todeskd.service runsunloginclient.service
mkdir -p /var/log/todesk /var/log/sunlogin
printf 'connected\n' > /var/log/todesk/service.log
printf '# todesk was removed on 2026-11-20 after the inspection\n' > /etc/cron.d/note
