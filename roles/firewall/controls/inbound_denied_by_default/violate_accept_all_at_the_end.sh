#!/bin/sh
# expect: every protocol from any IPv4 address is let in
# The policy says drop, the last rule lets everything in: a reading of the policy alone is satisfied.
set -eu
cat > /etc/nftables.conf << 'END'
flush ruleset
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    tcp dport 22 accept
    limit rate 5/minute log prefix "drop "
    counter accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
END
systemctl enable nftables.service
nft -f /etc/nftables.conf
