#!/bin/sh
# A table for each family, refusal by a last rule instead of a policy, loaded at boot by a unit of the site's own.
set -eu
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
mkdir -p /etc/firewall
cat > /etc/firewall/site.nft << END
flush ruleset
table ip site {
  chain in {
    type filter hook input priority 0; policy accept;
    iifname lo accept
    ct state vmap { established : accept, related : accept, invalid : drop }
    icmp type { echo-request, destination-unreachable, time-exceeded } accept
    tcp dport vmap { 22 : jump admin }
    limit rate 20/minute log prefix "refused: " group 0
    reject with icmp type admin-prohibited
  }
  chain admin {
    ip saddr != $console return
    ct state new limit rate 60/minute accept
  }
  chain through {
    type filter hook forward priority 0; policy drop;
  }
}
table ip6 site {
  chain in {
    type filter hook input priority 0; policy accept;
    iifname lo accept
    ct state established,related accept
    icmpv6 type != nd-redirect accept
    limit rate 20/minute log prefix "refused: "
    reject
  }
  chain through {
    type filter hook forward priority 0;
    counter drop
  }
}
END
cat > /etc/systemd/system/site-firewall.service << 'END'
[Unit]
Description=Packet filter of the site
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/firewall/site.nft

[Install]
WantedBy=sysinit.target
END
systemctl enable --now site-firewall.service
