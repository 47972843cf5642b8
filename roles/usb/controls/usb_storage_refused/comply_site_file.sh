#!/bin/sh
# Refused by the site's own file with another command that does nothing, in the initramfs too.
set -eu
printf 'install usb_storage /usr/bin/true\ninstall uas /bin/true\n' > /etc/modprobe.d/zz-site.conf
update-initramfs -u -k all > /dev/null
