#!/bin/sh
# expect: usb_storage can be loaded
# Blacklisted, which keeps a driver from being loaded by a device's alias but not by its name.
set -eu
printf 'blacklist usb-storage\nblacklist uas\n' > /etc/modprobe.d/usb.conf
