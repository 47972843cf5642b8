#!/bin/sh
# Run beside the files in an empty network namespace.
for each in iptables ip6tables; do
  $each-nft -P INPUT DROP
  $each-nft -P FORWARD DROP
  $each-nft -A INPUT -i lo -j ACCEPT
  $each-nft -A INPUT -p tcp --dport 5432 -j NFQUEUE --queue-bypass
  $each-nft -A INPUT -m limit --limit 5/min -j LOG
done
iptables-nft -I INPUT -s 10.66.1.1 -p tcp --dport 22 -j ACCEPT
iptables-nft -I INPUT -s 10.66.3.0/24 -p tcp --dport 8080 -j ACCEPT
ip6tables-nft -I INPUT -s fd66::1 -p tcp --dport 22 -j ACCEPT
