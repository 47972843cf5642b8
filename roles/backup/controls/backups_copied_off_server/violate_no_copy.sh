#!/bin/sh
# expect: there is no copy of db postgresql
# with: copies_of: [{host: db, address: 127.0.0.1, port: 2222, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPWukoQ0cu84rAQvNkzoAUErOruEEfixmszekZE8XUYM, systems: [postgresql]}]
# with: escrow: [{place: safe, holder: trial, sealed: '{today}'}]
# with: spare_mib: 64
# The server offers its backups, and nobody fetches them.
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
