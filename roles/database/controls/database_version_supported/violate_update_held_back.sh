#!/bin/sh
# kind: db
# expect: updates wait, to be installed and the server restarted: libpq5 15.
# The source offers a newer package, which a hold and a pin keep from being seen: apt names no update.
set -eu
name=$(dpkg-query -Wf '${Version}' postgresql-15)
sed -i "s/^Version: $name\$/Version: $name.1/" /var/lib/apt/lists/_srv_repo_._Packages
apt-mark hold postgresql-15 > /dev/null
printf 'Package: *postgresql* libpq5\nPin: release *\nPin-Priority: -1\n' > /etc/apt/preferences.d/held
! apt list --upgradable 2> /dev/null | grep -q postgres || exit 1
