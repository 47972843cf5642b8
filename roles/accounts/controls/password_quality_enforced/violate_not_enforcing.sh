#!/bin/sh
# expect: by user: only 7 characters
# Warns and lets pass.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minclass = 4\nenforce_for_root\nenforcing = 0\n' >> /etc/security/pwquality.conf
sed -i 's/ obscure / /' /etc/pam.d/common-password
