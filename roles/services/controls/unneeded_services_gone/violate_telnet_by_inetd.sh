#!/bin/sh
# expect: inetutils-inetd.service) listens on tcp 0.0.0.0:23
# Nothing is called telnet: inetd listens for it and starts the daemon for each call.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q inetutils-inetd inetutils-telnetd
echo 'telnet stream tcp4 nowait root /usr/sbin/telnetd telnetd' >> /etc/inetd.conf
systemctl restart inetutils-inetd.service
