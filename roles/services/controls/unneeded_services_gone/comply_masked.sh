#!/bin/sh
# Installed for another package's sake, and masked.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q rpcbind
systemctl disable --now rpcbind.socket rpcbind.service
systemctl mask rpcbind.socket rpcbind.service
