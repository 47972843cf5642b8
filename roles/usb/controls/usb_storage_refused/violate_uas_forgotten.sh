#!/bin/sh
# expect: uas can be loaded
# Only usb-storage is refused: a fast disk comes in through uas.
set -eu
printf 'install usb-storage /bin/false\n' > /etc/modprobe.d/usb.conf
update-initramfs -u -k all > /dev/null
