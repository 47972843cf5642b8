#!/bin/sh
# expect: does not run every day
# Everything is there, but the timer was moved to once a month by a file that medsec also writes.
set -eu
for unit in service timer; do
  printf '[Unit]\nDescription=backup\n' > "/etc/systemd/system/medsec-database-backup@.$unit"
done
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >> /etc/systemd/system/medsec-database-backup@.service
printf '[Timer]\nOnCalendar=*-%s-15 00:00:00\n[Install]\nWantedBy=timers.target\n' "$(date -d '+60 days' +%m)" >> /etc/systemd/system/medsec-database-backup@.timer
systemctl daemon-reload
systemctl -q enable --now medsec-database-backup@postgresql.timer medsec-database-backup@mariadb.timer
