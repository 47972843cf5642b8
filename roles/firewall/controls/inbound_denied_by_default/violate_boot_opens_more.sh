#!/bin/sh
# expect: after the next boot: tcp port 4444
# The rules in force are right, the file that boot loads opens one more port.
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
    limit rate 5/minute log prefix "drop "
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
END
systemctl enable nftables.service
nft -f /etc/nftables.conf
sed -i 's/^    limit rate/    tcp dport 4444 accept\n    limit rate/' /etc/nftables.conf
