#!/bin/bash
# zones.sh up|down BRIDGE=IPV4=IPV6...
# The bridges of the clinic's zones on this machine, with the console's address on each. This machine is no router between
# them, and packets for a host that is not there stay on it. `down` leaves a bridge alone while a host is plugged in.
set -euo pipefail
[[ $(id -u) = 0 ]] || exec sudo "$0" "$@"

bound() { # FAMILY BRIDGE : whether the rule that ends what comes in from BRIDGE is there
  [[ $(ip "$1" rule show priority "$priority") == *"iif $2 "* ]]
}

everything4=10.66.0.0/16 everything6=fd66::/32
metric=9998 priority=6598

up() { # BRIDGE IPV4 IPV6
  local bridge=$1 ipv4=$2 ipv6=$3 holder
  holder=$(ip -4 -o addr show to "$ipv4/32" | awk 'NR == 1 {print $2}')
  if [[ -n $holder && $holder != "$bridge" ]]; then
    echo "$ipv4 is in use on $holder, expected it free or on $bridge: the clinic of \`medsec lab\` has the same addresses." \
      "End it first: medsec lab down" >&2
    echo "$ipv4 已在 $holder 上使用（应空闲或在 $bridge 上）：\`medsec lab\` 的诊所使用相同地址，请先执行：medsec lab down" >&2
    exit 1
  fi
  if [[ ! -d /sys/class/net/$bridge ]]; then
    ip link add "$bridge" type bridge mcast_snooping 0
  fi
  ip addr replace "$ipv4/24" dev "$bridge"
  ip -6 addr replace "$ipv6/64" dev "$bridge" nodad
  ip link set "$bridge" up
  echo 0 > "/proc/sys/net/ipv4/conf/$bridge/forwarding"
  echo 0 > "/proc/sys/net/ipv6/conf/$bridge/forwarding"
  echo 0 > "/proc/sys/net/ipv6/conf/$bridge/accept_ra"
  for family in -4 -6; do
    if ! bound "$family" "$bridge"; then
      ip "$family" rule add iif "$bridge" priority "$priority" type unreachable
    fi
  done
}

down() { # BRIDGE
  local bridge=$1 ports
  [[ -d /sys/class/net/$bridge ]] || return 0
  ports=$(ls "/sys/class/net/$bridge/brif")
  [[ -z $ports ]] || return 0
  for family in -4 -6; do
    if bound "$family" "$bridge"; then
      ip "$family" rule delete iif "$bridge" priority "$priority" type unreachable
    fi
  done
  ip link delete "$bridge"
}

routes() { # replace|delete
  ip route "$1" unreachable "$everything4" metric "$metric"
  ip -6 route "$1" unreachable "$everything6" metric "$metric"
}

action=$1
shift
exec 9> /run/lock/medsec-vagrant-zones
flock 9 # machines come up side by side
case $action in
  up)
    routes replace
    for zone in "$@"; do
      IFS='=' read -r bridge ipv4 ipv6 <<< "$zone"
      up "$bridge" "$ipv4" "$ipv6"
    done
    ;;
  down)
    left=0
    for zone in "$@"; do
      down "${zone%%=*}"
      [[ ! -d /sys/class/net/${zone%%=*} ]] || left=1
    done
    if [[ $left = 0 && $(ip route show "$everything4") == *"metric $metric"* ]]; then
      routes delete
    fi
    ;;
  *)
    echo "zones.sh: unknown action '$action'; accepted: up, down" >&2
    exit 2
    ;;
esac
