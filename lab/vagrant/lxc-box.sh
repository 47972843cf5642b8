#!/bin/bash
# lxc-box.sh BOX KEY LOWER...      (LOWER: read-only folders, the uppermost first)
# BOX: a Vagrant box for the provider lxc, of the root file system that the lab's hosts have.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=box.sh
. "$here/box.sh"
private "$0" "$@"
box=$1 key=$2
shift 2
work=$(mktemp -d "$(dirname "$box")/.lxc-box.XXXXXX")
trap 'end "$work"' EXIT
lay "$work" "$@"
prepare "$work/rootfs" "$key"
# Nothing to log in at, and no devices to settle: a container has neither a terminal nor udev.
systemctl --quiet --root="$work/rootfs" mask console-getty.service getty@tty1.service systemd-udevd.service \
  systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket
# A container may not set this machine's clock: chrony, once hardening installs it, follows its source and leaves the clock
# alone, as on the lab's hosts.
mkdir -p "$work/rootfs/etc/systemd/system/chrony.service.d"
printf '%s\n' '[Unit]' 'ConditionCapability=' '' '[Service]' 'EnvironmentFile=' 'Environment="DAEMON_OPTS=-F 1 -x"' \
  > "$work/rootfs/etc/systemd/system/chrony.service.d/50-container-no-clock.conf"
printf '{"provider": "lxc", "version": "1.0.0"}\n' > "$work/metadata.json"
printf '%s\n' 'lxc.include = /usr/share/lxc/config/common.conf' 'lxc.arch = linux64' \
  'lxc.apparmor.profile = unconfined' > "$work/lxc-config"
# --xattrs: file capabilities, without which ping is root's alone.
tar --create --numeric-owner --xattrs --xattrs-include='*' --directory "$work" ./rootfs | gzip -1 > "$work/rootfs.tar.gz"
tar --create --file "$work/box" --directory "$work" ./metadata.json ./lxc-config ./rootfs.tar.gz
mv "$work/box" "$box"
