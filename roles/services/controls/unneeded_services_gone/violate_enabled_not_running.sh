#!/bin/sh
# expect: avahi-daemon.service is not running and would be started by
# Stopped for the inspection; the next boot starts it again.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q avahi-daemon
systemctl enable avahi-daemon.service
systemctl stop avahi-daemon.socket avahi-daemon.service
