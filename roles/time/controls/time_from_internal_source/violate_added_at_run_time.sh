#!/bin/sh
# expect: chrony follows sources that the ledger does not register: 192.0.2.123
# lasting: the daemon has started anew, from its files
# Every file is right; somebody told the running daemon to follow one more source.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
printf 'server %s iburst\ndriftfile /var/lib/chrony/chrony.drift\n' "$console" > /etc/chrony/chrony.conf
systemctl restart chrony.service
sleep 1
chronyc add server 192.0.2.123 offline
