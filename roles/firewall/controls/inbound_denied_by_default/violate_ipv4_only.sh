#!/bin/sh
# expect: incoming IPv6 packets are not filtered
# A good rule set in a table of family ip: IPv6 comes in unfiltered.
set -eu
cat > /etc/nftables.conf << 'END'
flush ruleset
table ip filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    ip protocol icmp accept
    ip saddr 10.0.0.0/8 tcp dport 22 accept
    limit rate 5/minute log prefix "drop "
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
END
systemctl enable nftables.service
nft -f /etc/nftables.conf
