#!/bin/sh
# Installed, stopped and disabled; nothing starts it.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q avahi-daemon
systemctl disable --now avahi-daemon.socket avahi-daemon.service
