#!/bin/sh
# expect: chpasswd by root: only 7 characters
# One service has a stack of its own and does not include the common one.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
echo 'password required pam_unix.so yescrypt' > /etc/pam.d/chpasswd
