#!/bin/sh
# with: {allowed: [{product: vnc, approval: 院信字〔2026〕12号, purpose: 影像工作站厂商维护}]}
# A VNC server that the institution approved and registered.
set -eu
apt-get -qq -y install x11vnc > /dev/null 2>&1
