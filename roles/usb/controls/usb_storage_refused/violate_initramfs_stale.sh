#!/bin/sh
# expect: would load it at boot
# The rule is written, but the initramfs was built before it and takes a stick that is plugged in at boot.
set -eu
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /etc/modprobe.d/usb.conf
