#!/bin/sh
# expect: xinetd (pid
# lasting: a program that was ended is not started again
# No unit is active or enabled: somebody started the daemon from a shell.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q xinetd
systemctl disable --now xinetd.service
systemctl mask xinetd.service
xinetd -stayalive -pidfile /run/by-hand.pid
sleep 1
