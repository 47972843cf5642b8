#!/bin/sh
# expect: avahi-daemon.service is not running and would be started by
# Stopped for the inspection; the next boot starts it again, under another name too, and its socket is masked until then only.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q avahi-daemon
systemctl enable avahi-daemon.service
systemctl stop avahi-daemon.socket avahi-daemon.service
systemctl mask --runtime avahi-daemon.socket
printf '[Service]\nExecStart=/bin/sh -c "exec /usr/sbin/avahi-daemon -s"\n[Install]\nWantedBy=multi-user.target\n' \
  > /etc/systemd/system/discovery.service
systemctl enable discovery.service
