#!/bin/sh
# Once removed and masked; the logs and what people wrote about it are still there as evidence.
set -eu
systemctl mask --quiet todeskd.service runsunloginclient.service
mkdir -p /var/log/todesk /var/log/sunlogin /home/admin/anydesk
printf 'connected\n' > /var/log/todesk/service.log
printf '# todesk was removed on 2026-11-20 after the inspection\n' > /etc/cron.d/note
printf 'ToDesk: 2026-11-20 removed\n' > /home/admin/todesk-removal.txt
cp /home/admin/todesk-removal.txt /home/admin/anydesk/anydesk.md
