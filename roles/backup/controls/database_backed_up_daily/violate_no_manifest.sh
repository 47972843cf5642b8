#!/bin/sh
# expect: has no manifest
# lasting: a fresh backup, which nobody takes back
# A nightly job that looks like medsec's own and leaves good dumps, without a word on what is in them.
set -eu
cat > /usr/local/sbin/medsec-database-backup <<'END'
#!/bin/sh
set -eu
umask 077
run=/var/backups/medsec/$1/$(date -u +%Y%m%dT%H%M%SZ)
if [ "$1" = postgresql ]; then
  mkdir -p "$run/15-main"
  (cd / && runuser -u postgres -- pg_dump -Fc postgres) > "$run/15-main/postgres.dump"
else
  mkdir -p "$run"
  mariadb-dump --databases mysql | gzip > "$run/mysql.sql.gz"
fi
END
chmod 755 /usr/local/sbin/medsec-database-backup
printf '[Service]\nType=oneshot\nExecStart=/usr/local/sbin/medsec-database-backup %%i\n' > /etc/systemd/system/medsec-database-backup@.service
printf '[Timer]\nOnCalendar=*-*-* 02:00:00\n[Install]\nWantedBy=timers.target\n' > /etc/systemd/system/medsec-database-backup@.timer
systemctl daemon-reload
for product in postgresql mariadb; do
  systemctl start "medsec-database-backup@$product.service"
  systemctl -q enable --now "medsec-database-backup@$product.timer"
done
