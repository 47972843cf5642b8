# shellcheck shell=bash
# overlay.sh, sourced: lays a writable folder over read-only ones and runs commands inside, in a private mount namespace.
# Expects: stdin = apt sources, $out = the folder that is built. Gives: $root, inside COMMAND..., apt_inside ARGUMENT...

private() { # SCRIPT ARGUMENT... : start the recipe again where its mounts are nobody else's and end with it
  if [[ ${LAB_PRIVATE:-} != 1 ]]; then
    LAB_PRIVATE=1 exec unshare --mount --pid --fork --kill-child --propagation slave "$@"
  fi
}

open_overlay() { # LOWER UPPER WORK
  # shellcheck disable=SC2154
  root=$out/root
  mkdir -p "$root"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$root"
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
  mount -t tmpfs tmpfs "$root/var/lib/apt/lists"
  mount -t tmpfs tmpfs "$root/var/cache/apt"
  cat > "$root/run/sources.list"
  : > "$root/run/resolv.conf"
  if [[ -r /etc/resolv.conf ]]; then cat /etc/resolv.conf > "$root/run/resolv.conf"; fi
  ln -s /run/resolv.conf "$root/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" # nothing may start while an image is made
  chmod 755 "$root/usr/sbin/policy-rc.d"
}

close_overlay() {
  rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
}

inside() {
  chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

apt_inside() { # apt-get with this machine's sources
  inside apt-get -qq -o Dir::Etc::SourceList=/run/sources.list -o Dir::Etc::SourceParts=- \
    -o APT::Install-Recommends=false -o Acquire::Languages=none "$@"
}
