#!/bin/bash
# vm.sh LOWER[:LOWER] OUT PACKAGE... < sources.list
# OUT/root.img: the same plain host as a file system for a virtual machine, with Debian's own kernel and initramfs.
set -euo pipefail
# shellcheck source=overlay.sh
. "$(dirname "$0")/overlay.sh"
private "$0" "$@"
lower=$1 out=$2
shift 2
mkdir -p "$out/upper" "$out/work"
open_overlay "$lower" "$out/upper" "$out/work"

# The initramfs carries what the machine boots from, and the USB storage drivers, as a full one does: a driver that is refused only
# on the disk would otherwise look refused. The full one would add half a minute to each boot in emulation.
mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/etc/initramfs-tools/hooks"
printf 'MODULES=list\nCOMPRESS=lz4\n' > "$root/etc/initramfs-tools/conf.d/small"
printf '%s\n' virtio_pci virtio_blk ext4 > "$root/etc/initramfs-tools/modules"
cat > "$root/etc/initramfs-tools/hooks/usb-storage" << 'HOOK'
#!/bin/sh
if [ "$1" = prereqs ]; then exit 0; fi
. /usr/share/initramfs-tools/hook-functions
manual_add_modules xhci_pci usb_storage uas
HOOK
chmod 755 "$root/etc/initramfs-tools/hooks/usb-storage"
apt_inside update
skip=()
for folder in drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet drivers/infiniband drivers/iio sound; do
  skip+=(-o "Dpkg::Options::=--path-exclude=/lib/modules/*/kernel/$folder/*")
done
apt_inside --yes "${skip[@]}" -o Dpkg::Options::=--force-confold install lz4 "$@" > /dev/null
printf '/dev/vda / ext4 rw,relatime,errors=remount-ro 0 1\n/dev/vdb /srv/repo ext4 ro 0 0\n' > "$root/etc/fstab"
close_overlay
for folder in var/cache/apt var/lib/apt/lists tmp run dev proc; do umount "$root/$folder"; done
truncate -s 4G "$out/root.img"
mke2fs -q -t ext4 -d "$root" "$out/root.img"
umount "$root"
rm -rf "$out/upper" "$out/work" "$out/root"
