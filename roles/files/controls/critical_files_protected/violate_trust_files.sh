#!/bin/sh
# expect: the trust file /home/admin/.rhosts exists
# Trust files in a home, in root's home and for the whole host.
set -eu
chmod 0600 /etc/ssh/sshd_config /etc/crontab
echo '+ +' > /home/admin/.rhosts
echo 'machine his login his password his123' > /root/.netrc
echo '+' > /etc/hosts.equiv
