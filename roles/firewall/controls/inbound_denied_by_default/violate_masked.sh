#!/bin/sh
# expect: nftables.service is masked
# Nothing is loaded and the unit is masked, so that a simple enable does not help.
set -eu
nft flush ruleset
systemctl mask nftables.service
