#!/bin/sh
# expect: the time zone is not Asia/Shanghai
# The right source, and a wrong time zone.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i "s/^pool.*/server $console iburst/" /etc/chrony/chrony.conf
systemctl restart chrony.service
timedatectl set-timezone Etc/UTC
