#!/bin/sh
# expect: would load it at boot
# The rule is written, but the initramfs was built before it and takes a stick that is plugged in at boot.
set -eu
printf 'usb_storage\nuas\n' >> /etc/initramfs-tools/modules
update-initramfs -u -k all > /dev/null
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /etc/modprobe.d/usb.conf
