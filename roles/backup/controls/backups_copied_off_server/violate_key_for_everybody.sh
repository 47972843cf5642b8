#!/bin/sh
# expect: others than root may reach /etc/medsec-backup-copies/password
# with: copies_of: [{host: db, address: 127.0.0.1, port: 2222, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWukoQ0cu84rAQvNkzoAUErOruEEfixmszekZE8XUYM, systems: [postgresql]}]
# with: escrow: [{place: safe, holder: trial, sealed: '{today}'}]
# with: spare_mib: 64
# There is a copy, but of a backup of last month, its key can be read by all, and the timer fires once a month.
set -eu
# A server of its own on another port, with one sealed backup. It lets in whichever key this host makes.
mkdir -p /opt/source/postgresql/20260101T000000Z
cd /opt/source/postgresql/20260101T000000Z
seq 1000 > dump
sha256sum dump > SHA256SUMS
printf '{"product": "postgresql", "started": "%s", "sha256sums": "%s"}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  "$(sha256sum < SHA256SUMS | cut -d' ' -f1)" > record.json
cat > /opt/source/offer << 'END'
#!/bin/sh
cd /opt/source/postgresql
case $SSH_ORIGINAL_COMMAND in
  list) echo "postgresql 20260101T000000Z $(sha256sum < 20260101T000000Z/SHA256SUMS | cut -d' ' -f1)" ;;
  send*) exec tar -c 20260101T000000Z ;;
esac
END
cat > /opt/source/key << 'END'
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACD1rpKENHLvOKwELzZM6AFBKzq7hBH4sZrM3pGRPF1GDAAAAIiRFqoOkRaq
DgAAAAtzc2gtZWQyNTUxOQAAACD1rpKENHLvOKwELzZM6AFBKzq7hBH4sZrM3pGRPF1GDA
AAAEDk/qh3sT7kMnrFP9QAkfRo3C5TQlc4bbqLqvOJhxMgevWukoQ0cu84rAQvNkzoAUEr
OruEEfixmszekZE8XUYMAAAABXRyaWFs
-----END OPENSSH PRIVATE KEY-----
END
chmod 755 /opt/source/offer
chmod 600 /opt/source/key
useradd --system --shell /bin/sh --password '*' medsec-copies
cat > /etc/systemd/system/source.service << 'END'
[Service]
ExecStart=/usr/sbin/sshd -D -f /dev/null -p 2222 -h /opt/source/key -o ListenAddress=127.0.0.1 -o PidFile=none -o UsePAM=yes -o ForceCommand=/opt/source/offer -o AuthorizedKeysFile=none -o "AuthorizedKeysCommand=/bin/cat /etc/medsec-backup-copies/id_ed25519.pub" -o AuthorizedKeysCommandUser=root
END
systemctl daemon-reload
systemctl start source.service
DEBIAN_FRONTEND=noninteractive apt-get install -y -q restic
export RESTIC_REPOSITORY=/var/backups/medsec-copies/repository RESTIC_PASSWORD_FILE=/etc/medsec-backup-copies/password
mkdir -p "$RESTIC_REPOSITORY" /etc/medsec-backup-copies /var/backups/medsec-copies/incoming/db/postgresql
echo not-so-secret > "$RESTIC_PASSWORD_FILE"
ssh-keygen -q -t ed25519 -N '' -f /etc/medsec-backup-copies/id_ed25519
restic --no-cache -q init
cd /var/backups/medsec-copies/incoming/db/postgresql
cp -r /opt/source/postgresql/20260101T000000Z .
restic --no-cache -q backup --host db --tag "postgresql,20260101T000000Z,$(sha256sum < 20260101T000000Z/SHA256SUMS | cut -d' ' -f1),started=$(date -d '30 days ago' +%s)" .
cd /opt/source/postgresql/20260101T000000Z
echo more >> dump
sha256sum dump > SHA256SUMS
sed -i "s/\(sha256sums\": \"\).*/\1$(sha256sum < SHA256SUMS | cut -d' ' -f1)\"}/" record.json
printf '[Timer]\nOnCalendar=*-%s-15\n[Install]\nWantedBy=timers.target\n' "$(date -d '+60 days' +%m)" > /etc/systemd/system/medsec-backup-copies.timer
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' > /etc/systemd/system/medsec-backup-copies.service
systemctl daemon-reload
systemctl -q enable --now medsec-backup-copies.timer
