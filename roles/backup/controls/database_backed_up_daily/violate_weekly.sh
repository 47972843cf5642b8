#!/bin/sh
# expect: does not run every day
# Units as they should be, overruled by drop-ins: nothing is run, and that once a month.
set -eu
for unit in service timer; do
  printf '[Unit]\nDescription=backup\n' > "/etc/systemd/system/medsec-database-backup@.$unit"
  mkdir "/etc/systemd/system/medsec-database-backup@.$unit.d"
done
printf '[Service]\nType=oneshot\nExecStart=/usr/local/sbin/medsec-database-backup run %%i\n' >> /etc/systemd/system/medsec-database-backup@.service
printf '[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n' >> /etc/systemd/system/medsec-database-backup@.timer
printf '[Service]\nExecStart=\nExecStart=/bin/true\n' > /etc/systemd/system/medsec-database-backup@.service.d/x.conf
printf '[Timer]\nOnCalendar=\nOnCalendar=*-*-%s 02:00:00\n' "$(date -d tomorrow +%d)" > /etc/systemd/system/medsec-database-backup@.timer.d/x.conf
systemctl daemon-reload
systemctl -q enable --now medsec-database-backup@postgresql.timer medsec-database-backup@mariadb.timer
