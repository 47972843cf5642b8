#!/bin/sh
# expect: chrony is set to follow, at its next start, sources that the ledger does not register: pool.ntp.example
# chrony as it is installed, set to a pool beside the registered source.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
printf 'server %s iburst\npool pool.ntp.example iburst\ndriftfile /var/lib/chrony/chrony.drift\n' "$console" > /etc/chrony/chrony.conf
systemctl restart chrony.service
