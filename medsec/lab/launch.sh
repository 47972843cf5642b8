#!/bin/bash
# launch.sh NAME FOLDER LOWER REPOSITORY CGROUP[:CGROUP] LINK...
# Runs one host until it powers off; LINK is OUTER,INNER,MAC,BRIDGE. Everything is mounted in a private namespace, so nothing of
# it is left when the last process of the host is gone. A host that asks to reboot gets a new network namespace, as a machine
# that reboots loses its filter rules and kernel settings.
set -euo pipefail

# What the kernel itself starts with. A new namespace inherits the IPv4 part from this machine, which may have been hardened or
# made a router: a plain host would then pass, or fail, for a reason that is not its own.
# shellcheck disable=SC2016
kernel_defaults='
  set -e
  cd /proc/sys/net
  echo 0 > ipv4/ip_forward
  echo 0 > ipv6/conf/all/forwarding
  for conf in all default; do
    echo 1 > ipv4/conf/$conf/accept_redirects
    echo 1 > ipv4/conf/$conf/secure_redirects
    echo 1 > ipv4/conf/$conf/send_redirects
    echo 0 > ipv4/conf/$conf/rp_filter
    echo 0 > ipv4/conf/$conf/log_martians
    echo 0 > ipv6/conf/$conf/accept_dad
  done
  echo 0 > ipv4/conf/all/accept_source_route
  echo 1 > ipv4/conf/default/accept_source_route
  ip link set lo up'

network() { # LINK... : a fresh namespace NAME with one pair of virtual cards for each zone
  local link outer inner mac bridge
  if [[ -e /run/netns/$name ]]; then ip netns delete "$name"; fi
  ip netns add "$name"
  nsenter --net="/run/netns/$name" sh -c "$kernel_defaults"
  for link in "$@"; do
    IFS=, read -r outer inner mac bridge <<< "$link"
    # That of the host before, which the kernel may be taking away at this moment.
    ip link delete "$outer" 2> /dev/null || [[ ! -e /sys/class/net/$outer ]]
    ip link add "$outer" type veth peer name "$inner" address "$mac" netns "$name"
    ip link set "$outer" master "$bridge" up
  done
}

main() { # in one piece, so that an upgrade of this file does not reach hosts that run
  if [[ $1 != --inside ]]; then
    exec unshare --mount --propagation slave "$0" --inside "$@"
  fi
  shift
  name=$1 folder=$2 lower=$3 repository=$4
  IFS=: read -ra cgroups <<< "$5"
  shift 5

  mount -t tmpfs -o mode=755 tmpfs /run # nspawn keeps notes there
  mount -t overlay overlay -o "volatile,lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
  export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
  rc=133 # the host asked for a reboot
  while [[ $rc = 133 ]]; do
    network "$@"
    rc=0
    setpriv --pdeathsig KILL systemd-nspawn --quiet --directory="$folder/root" --boot --register=no --keep-unit \
      --machine="$name" --network-namespace-path="/run/netns/$name" --capability=CAP_NET_ADMIN --bind-ro="$repository:/srv/repo" \
      --resolv-conf=off --timezone=off --link-journal=no --settings=no --console=read-only || rc=$?
  done
  # Whatever a killed nspawn left running goes with its launcher.
  for group in "${cgroups[@]}"; do
    if [[ -e $group/cgroup.kill ]]; then echo 1 > "$group/cgroup.kill"; fi
  done
  exit
}

main "$@"
