#!/bin/sh
# expect: usb_storage can be loaded
# The rule is there, but a file read before it says otherwise, and modprobe takes the first line it finds.
set -eu
printf 'install usb-storage /bin/false\ninstall uas /bin/false\n' > /etc/modprobe.d/usb.conf
# shellcheck disable=SC2016 # modprobe expands it
printf 'install usb_* /sbin/modprobe --ignore-install $CMDLINE_OPTS usb-storage\n' > /etc/modprobe.d/00-his-vendor.conf
