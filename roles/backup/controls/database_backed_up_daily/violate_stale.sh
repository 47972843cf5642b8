#!/bin/sh
# expect: there is no backup file
# lasting: a fresh backup, which nobody takes back
# A timer that exists and has never left anything: scheduled is not backed up.
set -eu
for unit in service timer; do
  printf '[Unit]\nDescription=backup\n' > "/etc/systemd/system/medsec-database-backup@.$unit"
done
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >> /etc/systemd/system/medsec-database-backup@.service
printf '[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n' >> /etc/systemd/system/medsec-database-backup@.timer
systemctl daemon-reload
systemctl -q enable --now medsec-database-backup@postgresql.timer medsec-database-backup@mariadb.timer
