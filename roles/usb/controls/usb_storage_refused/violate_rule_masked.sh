#!/bin/sh
# expect: usb_storage can be loaded
# The rule is in a distribution's folder, and an empty file of the same name in /etc hides it.
set -eu
mkdir -p /usr/lib/modprobe.d
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /usr/lib/modprobe.d/usb.conf
: > /etc/modprobe.d/usb.conf
update-initramfs -u -k all > /dev/null
