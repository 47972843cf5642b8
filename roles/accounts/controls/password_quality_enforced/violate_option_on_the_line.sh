#!/bin/sh
# expect: by user: no upper-case letter
# pwquality.conf reads well; the options on the module's line beat it.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
printf 'minlen = 8\nminclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
sed -i 's/pam_pwquality.so retry=3/pam_pwquality.so retry=3 minclass=2 dictcheck=0/' /etc/pam.d/common-password
