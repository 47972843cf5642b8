#!/bin/sh
# expect: rpcbind.socket is active
# The service is stopped and disabled, and its socket starts it again at the first call.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rpcbind
systemctl disable --now rpcbind.service
systemctl enable rpcbind.socket
systemctl start rpcbind.socket
