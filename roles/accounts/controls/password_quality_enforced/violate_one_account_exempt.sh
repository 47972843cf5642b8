#!/bin/sh
# expect: can store a password that was not checked: pam_succeed_if
# For one account the judge is skipped; an attempt with any other account would not show it.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
sed -i '0,/^password/s//password [success=1 default=ignore] pam_succeed_if.so quiet user = hisadmin\n&/' /etc/pam.d/common-password
sed -i 's/ use_authtok / /' /etc/pam.d/common-password
