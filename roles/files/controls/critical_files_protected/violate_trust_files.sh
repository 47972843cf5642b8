#!/bin/sh
# expect: the trust file /home/gone/.rhosts exists
# Trust files in a home whose account no list shows, in root's home and for the whole host.
set -eu
chmod 0600 /etc/ssh/sshd_config /etc/crontab
mkdir /home/gone
echo '+ +' > /home/gone/.rhosts
echo 'machine his login his password his123' > /root/.netrc
echo '+' > /etc/hosts.equiv
