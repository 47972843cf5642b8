#!/bin/sh
# expect: RDP server: package xrdp; unit xrdp-sesman.service /usr/lib/systemd/system/xrdp-sesman.service inactive
# The RDP server is installed but stopped and disabled: one command away from running again.
set -eu
apt-get -qq -y install xrdp > /dev/null 2>&1
systemctl disable --quiet --now xrdp.service xrdp-sesman.service
