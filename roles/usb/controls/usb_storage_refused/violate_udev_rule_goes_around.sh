#!/bin/sh
# expect: a line loads the driver past its rule
# The rule is written; a udev rule loads the driver past it as soon as a stick is plugged in.
set -eu
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /etc/modprobe.d/usb.conf
printf 'ACTION=="add", SUBSYSTEM=="usb", ATTR{bInterfaceClass}=="08", RUN+="/sbin/modprobe --ignore-install usb-storage"\n' \
  > /etc/udev/rules.d/60-vendor-disk.rules
