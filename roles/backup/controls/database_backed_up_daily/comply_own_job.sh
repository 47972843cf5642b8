#!/bin/sh
# with: jobs: [{product: postgresql, timer: site-backup.timer, artefacts: '/srv/backup/pg-*.dump'}, {product: mariadb, timer: site-backup.timer, artefacts: '/srv/backup/my-*.sql.gz'}]
# The site's own job, registered by its timer and its files.
set -eu
mkdir /srv/backup
chmod 700 /srv/backup
cat > /usr/local/sbin/site-backup <<'END'
#!/bin/sh
set -eu
umask 077
cd /
runuser -u postgres -- pg_dump -Fc postgres > "/srv/backup/pg-$(date +%F).dump"
mariadb-dump --all-databases | gzip > "/srv/backup/my-$(date +%F).sql.gz"
END
chmod 755 /usr/local/sbin/site-backup
printf '[Service]\nType=oneshot\nExecStart=/usr/local/sbin/site-backup\n' > /etc/systemd/system/site-backup.service
printf '[Timer]\nOnCalendar=*-*-* 03:30:00\nPersistent=true\n[Install]\nWantedBy=timers.target\n' > /etc/systemd/system/site-backup.timer
systemctl daemon-reload
systemctl -q enable --now site-backup.timer
systemctl start site-backup.service
