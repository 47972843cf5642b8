#!/bin/sh
# expect: frp tunnel: process
# A tunnel client run by a hand-written unit with an innocent name (a stand-in: /bin/sleep called frpc).
set -eu
install -D -m 0755 /bin/sleep /usr/local/lib/his-support/frpc
printf '[Service]\nExecStart=/usr/local/lib/his-support/frpc infinity\nRestart=always\n[Install]\nWantedBy=multi-user.target\n' \
  > /etc/systemd/system/his-support.service
systemctl daemon-reload
systemctl enable --quiet --now his-support.service
sleep 1
