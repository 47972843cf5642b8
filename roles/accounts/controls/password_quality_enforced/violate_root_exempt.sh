#!/bin/sh
# expect: by root: only 7 characters
# Users are bound, root is not: the first passwords that administrators hand out are weak.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
echo 'minclass = 4' >> /etc/security/pwquality.conf
