#!/bin/sh
# expect: is set to follow, at its next start, sources that the ledger does not register: 192.0.2.1
# The main file is right; a file that DHCP left in a source folder adds another source at the next start.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i "s/^pool.*/server $console iburst/" /etc/chrony/chrony.conf
systemctl restart chrony.service
mkdir -p /run/chrony-dhcp
echo 'server 192.0.2.1 iburst offline' > /run/chrony-dhcp/host0.sources
