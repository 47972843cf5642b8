#!/bin/sh
# Run beside the files in an empty network namespace.
nft -f ok_plain.nft
nft add rule inet filter forward ct status dnat accept
iptables-nft -t nat -A PREROUTING -p tcp --dport 8443 -j DNAT --to-destination 10.66.9.9:5432
