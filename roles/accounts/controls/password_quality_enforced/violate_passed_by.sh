#!/bin/sh
# expect: weak passwords are accepted
# A line above takes the password and ends the stack before it is judged.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
sed -i '0,/^password/s//password sufficient pam_unix.so yescrypt\n&/' /etc/pam.d/common-password
