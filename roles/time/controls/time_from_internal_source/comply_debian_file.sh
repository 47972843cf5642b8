#!/bin/sh
# The file of the distribution with its pool replaced, the folders of additional sources being empty.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i "s/^pool.*/server $console iburst minpoll 4/" /etc/chrony/chrony.conf
systemctl restart chrony.service
