#!/bin/sh
# expect: the journal system is not kept on the disk (Storage=volatile)
# The site's file says persistent; a drop-in below /run that is read later says otherwise.
set -eu
sed -i -E 's/rotate [0-9]+/rotate 40/' /etc/logrotate.d/*
mkdir -p /etc/systemd/journald.conf.d /run/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\n' > /etc/systemd/journald.conf.d/50-site.conf
printf '[Journal]\nStorage=volatile\n' > /run/systemd/journald.conf.d/zz-vendor.conf
systemctl restart systemd-journald
