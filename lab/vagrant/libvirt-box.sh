#!/bin/bash
# libvirt-box.sh BOX KEY LOWER... -- PACKAGE... < sources.list
# BOX: a Vagrant box for the provider libvirt: the root file system of the lab's hosts with Debian's kernel (PACKAGE...) on a
# disk that boots by BIOS. The disk is written without mounting it: kernels that know no partition tables can build it too.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=box.sh
. "$here/box.sh"
# shellcheck source=../../medsec/lab/recipes/overlay.sh
. "$here/../../medsec/lab/recipes/overlay.sh"
private "$0" "$@"
box=$1 key=$2
shift 2
lower=()
while [[ $1 != -- ]]; do
  lower+=("$1")
  shift
done
shift

gibibytes=10 # as the guest sees it; the file grows with what is written
out=$(mktemp -d "$(dirname "$box")/.libvirt-box.XXXXXX")
finish() {
  if [[ -n ${root:-} ]] && mountpoint --quiet "$root"; then umount --recursive "$root"; fi
  rm -rf "$out"
}
trap finish EXIT
mkdir -p "$out/upper" "$out/work"
open_overlay "$(IFS=:; echo "${lower[*]}")" "$out/upper" "$out/work"

apt_inside update
apt_inside --yes install "$@" grub-pc-bin grub-common rsync zstd > /dev/null
prepare "$root" "$key"
printf 'LABEL=root / ext4 defaults,noatime 0 1\n' > "$root/etc/fstab"
printf '%s\n' '[Match]' 'Name=eth0' '' '[Network]' 'DHCP=ipv4' 'IPv6AcceptRA=no' '' '[DHCPv4]' 'ClientIdentifier=mac' \
  'UseDNS=no' > "$root/etc/systemd/network/80-vagrant.network"

kernel=$(basename "$(find "$root/boot" -name 'vmlinuz-*' | sort --version-sort | tail -1)")
version=${kernel#vmlinuz-}
mkdir -p "$root/boot/grub"
cp -r "$root/usr/lib/grub/i386-pc" "$root/boot/grub/"
cat > "$root/boot/grub/grub.cfg" << END
serial --unit=0 --speed=115200
terminal_output console serial
set timeout=0
menuentry Debian {
  search --no-floppy --label root --set=root
  linux /boot/vmlinuz-$version root=LABEL=root ro net.ifnames=0 console=tty0 console=ttyS0,115200
  initrd /boot/initrd.img-$version
}
END
inside grub-mkimage --format i386-pc --output /tmp/core.img --prefix '(hd0,msdos1)/boot/grub' \
  biosdisk part_msdos ext2 search_label search normal linux serial terminal configfile
cp "$root/usr/lib/grub/i386-pc/boot.img" "$root/tmp/core.img" "$out/"
close_overlay
umount --recursive "$root"

# What the file system holds is the overlay as seen through its own mount, without proc, dev and the like.
mount -t overlay overlay -o "lowerdir=$(IFS=:; echo "${lower[*]}"),upperdir=$out/upper,workdir=$out/work" "$root"
disk=$out/disk.raw start=1048576 sector=512
truncate --size "${gibibytes}G" "$disk"
printf 'label: dos\nstart=%s, type=83, bootable\n' $((start / sector)) | sfdisk --quiet "$disk"
[[ $(stat --format %s "$out/core.img") -lt $((start - sector)) ]]
dd if="$out/boot.img" of="$disk" bs=446 count=1 conv=notrunc status=none
dd if="$out/core.img" of="$disk" bs=$sector seek=1 conv=notrunc status=none
mke2fs -q -F -t ext4 -b 4096 -L root -E offset=$start -d "$root" "$disk" $(((gibibytes * 1024 * 1024 * 1024 - start) / 4096))
umount "$root"
qemu-img convert -c -O qcow2 "$disk" "$out/box.img"
printf '{"provider": "libvirt", "format": "qcow2", "virtual_size": %s}\n' "$gibibytes" > "$out/metadata.json"
printf '%s\n' 'Vagrant.configure("2") do |config|' \
  '  config.vm.provider(:libvirt) { |libvirt| libvirt.disk_bus = "virtio"; libvirt.nic_model_type = "virtio" }' 'end' \
  > "$out/Vagrantfile"
tar --create --file "$out/box" --directory "$out" metadata.json Vagrantfile box.img
mv "$out/box" "$box"
