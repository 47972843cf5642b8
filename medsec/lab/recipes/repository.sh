#!/bin/bash
# repository.sh BASE OUT PACKAGE... < sources.list
# OUT/debs: a package repository of PACKAGE..., of all they need beyond BASE, and of BASE's own packages, so that a host with no
# way out can get back what was removed from it. OUT/lists: a layer with its index, as after `apt-get update`.
set -euo pipefail
# shellcheck source=overlay.sh
. "$(dirname "$0")/overlay.sh"
private "$0" "$@"
base=$1 out=$2
shift 2
mkdir -p "$out/debs/partial" "$out/lists/var/lib/apt" "$out/upper" "$out/work"
open_overlay "$base" "$out/upper" "$out/work"
mount --bind "$out/debs" "$root/srv/repo"
apt_inside update
# shellcheck disable=SC2016
mapfile -t present < <(inside dpkg-query --show --showformat='${Package}:${Architecture}\n' | sed 's/:all$//')
fetch() { apt_inside --yes --download-only --reinstall -o Dir::Cache::Archives=/srv/repo install "$@" > /dev/null; }
fetch "${present[@]}"
refused=()
for package in "$@"; do # one by one: some of them exclude each other
  fetch "$package" || refused+=("$package")
done
if [[ ${#refused[@]} -gt 0 ]]; then
  echo "packages that this release does not have: ${refused[*]}" >&2
  exit 1
fi
rm -rf "$out/debs/partial" "$out/debs/lock"
(cd "$out/debs" && apt-ftparchive -o APT::FTPArchive::MD5=false -o APT::FTPArchive::SHA1=false \
  -o APT::FTPArchive::SHA512=false packages . > Packages)

rm -rf "${root:?}"/var/lib/apt/lists/*
inside apt-get -qq update
cp -a "$root/var/lib/apt/lists" "$out/lists/var/lib/apt/"
rm -f "$out/lists/var/lib/apt/lists/lock"
for folder in var var/lib var/lib/apt var/lib/apt/lists; do
  chmod --reference="$base/$folder" "$out/lists/$folder"
  chown --reference="$base/$folder" "$out/lists/$folder"
done
close_overlay
umount --recursive "$root"
rm -rf "$out/upper" "$out/work" "$out/root"
