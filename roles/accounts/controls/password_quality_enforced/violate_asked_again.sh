#!/bin/sh
# expect: use_authtok is missing
# The first password is judged; where pam_unix refuses it as used before, it asks for another that nobody judges.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
sed -i 's/ use_authtok try_first_pass / remember=5 /' /etc/pam.d/common-password
