#!/bin/sh
# with: listens: [{port: 22, protocol: tcp, process: /usr/sbin/sshd, sources: [management]}, {port: 8090, protocol: tcp, process: board.service, sources: [local]}]
# A program of the site, registered by its unit for loopback only, and bound to loopback.
set -eu
systemd-run --unit=board python3 -m http.server --bind 127.0.0.1 8090
sleep 2
