#!/bin/sh
# expect: no time service runs
# As Debian ships it: the time client of systemd, which asks a public pool (and does not even start in a container).
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
systemctl enable systemd-timesyncd.service
