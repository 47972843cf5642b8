#!/bin/sh
# expect: a good password is refused as well (passwd, set by root)
# The module without cracklib's word list: it refuses every password, so that nobody can change one any more.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libpam-pwquality </dev/null
printf 'minclass = 4\nenforce_for_root\n' >> /etc/security/pwquality.conf
rm -rf /var/cache/cracklib/cracklib_dict.*
