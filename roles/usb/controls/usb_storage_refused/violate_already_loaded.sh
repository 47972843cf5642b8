#!/bin/sh
# expect: usb_storage is loaded now
# Refused from the next boot on, but the driver is in the kernel already.
set -eu
modprobe usb-storage
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /etc/modprobe.d/usb.conf
