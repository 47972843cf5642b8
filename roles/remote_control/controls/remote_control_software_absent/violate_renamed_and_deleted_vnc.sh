#!/bin/sh
# expect: VNC server: process
# lasting: a program that was ended is not started again
# A VNC server under an innocent name, started by hand, its package and its file gone again: only the running process shows it.
set -eu
apt-get -qq -y install tigervnc-standalone-server > /dev/null 2>&1
mkdir -p /home/admin/tools
cp /usr/bin/Xtigervnc /home/admin/tools/updater
apt-get -qq -y purge tigervnc-standalone-server tigervnc-common > /dev/null 2>&1
cd /
setsid /home/admin/tools/updater :7 -SecurityTypes None -localhost -rfbport 48123 > /dev/null 2>&1 < /dev/null &
sleep 2
rm -r /home/admin/tools
