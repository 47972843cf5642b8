#!/bin/bash
# network.sh GATEWAY|router "ADDRESS NAME"...      runs inside a machine, as root, at every provisioning
# What the lab gives a new host as well: the names of all hosts, the way out of its zone, forwarding on the gateway.
set -euo pipefail
gateway=$1
shift

begin='# clinic begin' end='# clinic end'
rest=$(sed "/^$begin\$/,/^$end\$/d" /etc/hosts)
{
  printf '%s\n%s\n' "$rest" "$begin"
  printf '%s\n' "$@"
  printf '%s\n' "$end"
} > /etc/hosts.new
chmod 644 /etc/hosts.new
if cmp --silent /etc/hosts.new /etc/hosts; then
  rm /etc/hosts.new
else
  mv /etc/hosts.new /etc/hosts
fi

if [[ $gateway = router ]]; then
  printf 'net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n' > /etc/sysctl.d/50-routing.conf
  sysctl --quiet --load /etc/sysctl.d/50-routing.conf
elif [[ -e /etc/systemd/network/50-vagrant-eth1.network ]]; then # a virtual machine: eth0 is Vagrant's own
  mkdir -p /etc/systemd/network/50-vagrant-eth1.network.d
  printf '[Route]\nGateway=%s\nMetric=100\n' "$gateway" > /etc/systemd/network/50-vagrant-eth1.network.d/way-out.conf
  networkctl reload
fi
