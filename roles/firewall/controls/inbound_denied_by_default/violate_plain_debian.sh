#!/bin/sh
# expect: incoming IPv6 packets are not filtered
# As Debian ships it: nftables is installed, its unit is disabled, no rule is loaded.
set -eu
nft flush ruleset
systemctl disable --now nftables.service
