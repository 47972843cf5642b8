#!/bin/sh
# expect: by root: no upper-case letter
# The drop-in asks for four classes; libpwquality reads drop-ins first, so that the main file has the last word.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
mkdir -p /etc/security/pwquality.conf.d
printf 'minclass = 4\nenforce_for_root\n' > /etc/security/pwquality.conf.d/99-site.conf
echo 'minclass = 1' >> /etc/security/pwquality.conf
