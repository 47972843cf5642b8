#!/bin/sh
# The source stands in a file of its own; the time zone is set by a copy instead of a link.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i '/^pool/d' /etc/chrony/chrony.conf
echo "server $console iburst minpoll 4" > /etc/chrony/sources.d/site.sources
cp --remove-destination /usr/share/zoneinfo/Asia/Shanghai /etc/localtime
systemctl restart chrony.service
