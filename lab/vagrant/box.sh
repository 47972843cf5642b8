# shellcheck shell=bash
# box.sh, sourced by the box builders: lays a writable folder over the lab's images and gives it what a box needs.

private() { # SCRIPT ARGUMENT... : start again where the mounts are nobody else's and end with the script
  if [[ ${BOX_PRIVATE:-} != 1 ]]; then
    BOX_PRIVATE=1 exec unshare --mount --pid --fork --kill-child --propagation slave "$@"
  fi
}

lay() { # WORK LOWER... : WORK/rootfs
  local work=$1
  shift
  mkdir -p "$work/upper" "$work/overlay" "$work/rootfs"
  mount -t overlay overlay -o "lowerdir=$(IFS=:; echo "$*"),upperdir=$work/upper,workdir=$work/overlay" "$work/rootfs"
}

end() { # WORK
  if mountpoint --quiet "$1/rootfs"; then umount --recursive "$1/rootfs"; fi
  rm -rf "$1"
}

prepare() { # ROOT KEY : the key that Vagrant knows until it has put its own in place, and host keys at first boot
  local root=$1 key=$2
  install -m 0600 -o 1000 -g 1000 "$key" "$root/home/admin/.ssh/authorized_keys"
  printf '%s\n' '[Unit]' 'Description=SSH host keys of this machine' 'Before=ssh.service' \
    'ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key' '' '[Service]' 'Type=oneshot' \
    'ExecStart=/usr/bin/ssh-keygen -A' '' '[Install]' 'WantedBy=multi-user.target' \
    > "$root/etc/systemd/system/ssh-host-keys.service"
  systemctl --quiet --root="$root" enable ssh-host-keys.service
  printf 'debian\n' > "$root/etc/hostname"
  printf '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n::1\tlocalhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
}
