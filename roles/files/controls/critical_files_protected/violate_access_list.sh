#!/bin/sh
# expect: /etc/shadow has an access list
# The mode reads well; an access list lets a service account read the shadow file.
set -eu
chmod 0600 /etc/ssh/sshd_config /etc/crontab
apt-get -qq -y install acl >/dev/null
setfacl -m u:nobody:r /etc/shadow
