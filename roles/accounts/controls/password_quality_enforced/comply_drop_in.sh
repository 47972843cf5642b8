#!/bin/sh
# The site's own drop-in asks for more than is wanted.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
mkdir -p /etc/security/pwquality.conf.d
printf 'minlen=14\nminclass=4\nmaxrepeat=3\nmaxsequence = 4\ngecoscheck = 1\nenforce_for_root\n' > /etc/security/pwquality.conf.d/50-site.conf
