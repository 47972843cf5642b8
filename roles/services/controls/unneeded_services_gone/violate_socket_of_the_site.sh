#!/bin/sh
# expect: telnetd (pid 1, remote-console.socket) listens on tcp
# A socket with a name of its own lets systemd listen; no program runs until somebody calls.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q inetutils-telnetd
cat > /etc/systemd/system/remote-console.socket << 'END'
[Socket]
ListenStream=2323
Accept=yes

[Install]
WantedBy=sockets.target
END
cat > /etc/systemd/system/remote-console@.service << 'END'
[Service]
ExecStart=-/usr/sbin/telnetd
StandardInput=socket
END
systemctl daemon-reload
systemctl enable --now remote-console.socket
