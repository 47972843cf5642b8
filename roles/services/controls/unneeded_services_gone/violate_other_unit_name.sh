#!/bin/sh
# expect: rpcbind (pid
# The units of the package are masked; a unit of another name runs the same program.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rpcbind
systemctl disable --now rpcbind.socket rpcbind.service
systemctl mask rpcbind.socket rpcbind.service
cat > /etc/systemd/system/portmapper.service << 'END'
[Unit]
Description=Port mapper of an old application

[Service]
ExecStart=/sbin/rpcbind -f -w

[Install]
WantedBy=multi-user.target
END
systemctl enable --now portmapper.service
sleep 1
