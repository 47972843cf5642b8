#!/bin/sh
# expect: and others is let in
# A condition turned round: everybody but one address gets in.
set -eu
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
cat > /etc/nftables.conf << END
flush ruleset
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    ip saddr $console tcp dport 22 accept
    ip saddr != 192.0.2.1 tcp dport 1-1024 accept
    limit rate 5/minute log prefix "drop "
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
END
systemctl enable nftables.service
nft -f /etc/nftables.conf
