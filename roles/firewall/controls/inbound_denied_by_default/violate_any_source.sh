#!/bin/sh
# expect: tcp port 22 from any IPv4 address is let in
# A registered port, open to everybody instead of its registered addresses.
set -eu
cat > /etc/nftables.conf << END
flush ruleset
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 22 accept
    limit rate 5/minute log prefix "drop "
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
END
systemctl enable nftables.service
nft -f /etc/nftables.conf
