#!/bin/bash
# base.sh SUITE OUT PACKAGE... < sources.list
# One read-only root file system, OUT/rootfs, of a plain Debian that nobody has hardened, with the administrator's account `admin`.
set -euo pipefail
suite=$1 out=$2
shift 2
packages=$(IFS=,; echo "$*")
mkdir -p "$out"
cat > "$out/sources.list"

# Root of the hosts is made on this machine, so nothing of this machine may enter it: keys, names, package sources, machine id.
# shellcheck disable=SC2016
customize='set -e
  chroot "$1" useradd --create-home --shell /bin/bash --groups sudo --comment Administrator admin
  chroot "$1" usermod --password "*" admin
  chroot "$1" passwd --quiet --lock root
  install -d -m 0700 -o 1000 -g 1000 "$1/home/admin/.ssh"
  printf "admin ALL=(ALL:ALL) NOPASSWD: ALL\n" > "$1/etc/sudoers.d/admin"
  chmod 0440 "$1/etc/sudoers.d/admin"
  printf "C.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\nzh_CN.UTF-8 UTF-8\n" > "$1/etc/locale.gen"
  chroot "$1" locale-gen > /dev/null
  printf "LANG=C.UTF-8\n" > "$1/etc/default/locale"
  printf "Asia/Shanghai\n" > "$1/etc/timezone"
  ln -sf /usr/share/zoneinfo/Asia/Shanghai "$1/etc/localtime"
  rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf" "$1/etc/hostname"
  : > "$1/etc/machine-id"
  rm -f "$1"/etc/apt/sources.list.d/* "$1/etc/apt/apt.conf.d/99mmdebstrap"
  printf "deb [trusted=yes] file:/srv/repo ./\n" > "$1/etc/apt/sources.list"
  mkdir -p "$1/srv/repo"
  systemctl --quiet --root="$1" enable systemd-networkd.service ssh.service
  systemctl --quiet --root="$1" disable systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer'

# Translations and manuals are left out for size only; unsafe-io because a host lives for minutes.
exec mmdebstrap --quiet --variant=minbase --format=directory \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='force-unsafe-io' \
  --include="$packages" --customize-hook="$customize" \
  "$suite" "$out/rootfs" "$out/sources.list"
