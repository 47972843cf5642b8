#!/bin/sh
# expect: another time program runs beside the service
# A second daemon, started by hand with a file of its own.
set -eu
# The clock of a container belongs to its machine: the daemon runs without touching it, and all else is as it is anywhere.
mkdir -p /etc/systemd/system/chrony.service.d
cat > /etc/systemd/system/chrony.service.d/50-lab-no-clock.conf << 'END'
[Unit]
ConditionCapability=
[Service]
EnvironmentFile=
Environment="DAEMON_OPTS=-F 1 -x"
END
systemctl daemon-reload
DEBIAN_FRONTEND=noninteractive apt-get install -y -q chrony
console=$(ip -4 -o address show scope global | sed -n 's/.* inet \([0-9.]*\)\.[0-9]*\/.*/\1.1/p' | head -n 1)
sed -i "s/^pool.*/server $console iburst/" /etc/chrony/chrony.conf
systemctl restart chrony.service
printf 'server 192.0.2.9 offline\nport 0\ncmdport 0\nbindcmdaddress /run/second.sock\npidfile /run/second.pid\n' > /root/second.conf
systemd-run --unit=second-clock --property=Type=forking chronyd -x -F 0 -f /root/second.conf
