#!/bin/bash
# build-boxes.sh [lxc] [libvirt]      what `make box` runs
# Builds the boxes that the Vagrantfile names, from this machine's own package sources, and hands them to Vagrant.
set -euo pipefail
top=$(readlink -f "$(dirname "$0")/../..")
python=$top/.venv/bin/python
[[ -x $python ]] || python=python3
needed=(vagrant vagrant-lxc lxc)
[[ " $* " != *" libvirt "* ]] || needed+=(vagrant-libvirt fdisk e2fsprogs qemu-utils)
missing=()
for package in "${needed[@]}"; do
  dpkg-query --show --showformat '${db:Status-Abbrev}' "$package" 2> /dev/null | grep -q '^ii' || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq --yes --no-install-recommends install "${missing[@]}" > /dev/null
fi
PYTHONPATH=$top exec "$python" "$top/lab/vagrant/boxes.py" "$@"
