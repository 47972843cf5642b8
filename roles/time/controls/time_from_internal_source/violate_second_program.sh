#!/bin/sh
# expect: another time program runs beside the service
# lasting: a program that was ended is not started again
# A second daemon, started by hand with a file of its own.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i "s/^pool.*/server $console iburst/" /etc/chrony/chrony.conf
systemctl restart chrony.service
install -d -o _chrony -g _chrony -m 0700 /run/second
cat > /root/second.conf << 'END'
server 192.0.2.9 offline
port 0
cmdport 0
bindcmdaddress /run/second/socket
pidfile /run/second/pid
END
systemd-run --unit=second-clock chronyd -d -x -F 0 -f /root/second.conf
sleep 1
