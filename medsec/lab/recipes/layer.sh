#!/bin/bash
# layer.sh BASE OUT PACKAGE... < sources.list
# Packages for one kind of host as a layer, OUT/rootfs, to be laid over BASE.
set -euo pipefail
# shellcheck source=overlay.sh
. "$(dirname "$0")/overlay.sh"
private "$0" "$@"
base=$1 out=$2
shift 2
mkdir -p "$out/rootfs" "$out/work"
open_overlay "$base" "$out/rootfs" "$out/work"
apt_inside update
apt_inside --yes install "$@" > /dev/null
close_overlay
umount --recursive "$root"
rm -rf "$out/work" "$out/root"
