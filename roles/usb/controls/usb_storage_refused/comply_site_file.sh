#!/bin/sh
# Refused by the site's own file, in another folder, with another command that does nothing, and in the initramfs.
set -eu
mkdir -p /usr/local/lib/modprobe.d
printf 'install usb_storage /usr/bin/true\ninstall uas /bin/true\n' > /etc/modprobe.d/zz-site.conf
update-initramfs -u -k all > /dev/null
