#!/bin/sh
# expect: ufw.service loads a rule set of its own at boot
# Rules made with ufw, which adds some that nobody registered, and a rule in tables that nft cannot show.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q ufw iptables
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
ufw allow from "$console" to any port 22 proto tcp
ufw --force enable
iptables-legacy -A INPUT -p tcp --dport 99 -j ACCEPT
