#!/bin/bash
# launch_vm.sh FOLDER REPOSITORY-DISK MEMORY TAP,MAC,BRIDGE
# Runs one virtual machine in software emulation until it powers off. FOLDER/disk.qcow2 is its disk; each boot takes the kernel and
# the initramfs from that disk, so that what the host did to its own initramfs counts. Side channel mitigations are off: emulation
# has no such processor, and they cost it a lot of time.
set -euo pipefail

kernel_from_disk() { # newest kernel and its initramfs, out of the guest's /boot
  local version
  qemu-img convert -O raw disk.qcow2 boot.raw
  version=$(debugfs -R 'ls -p /boot' boot.raw 2> /dev/null | sed -n 's|.*/vmlinuz-\([^/]*\)/.*|\1|p' | sort --version-sort | tail -n 1)
  debugfs -R "dump /boot/vmlinuz-$version vmlinuz" boot.raw 2> /dev/null
  debugfs -R "dump /boot/initrd.img-$version initrd" boot.raw 2> /dev/null
  rm boot.raw
}

tap() {
  if [[ -e /sys/class/net/$tap ]]; then ip link delete "$tap"; fi
  ip tuntap add "$tap" mode tap
  ip link set "$tap" master "$bridge" up
}

main() { # in one piece, so that an upgrade of this file does not reach machines that run
  local folder repository memory tap mac bridge kernel_line again
  folder=$1 repository=$2 memory=$3
  IFS=, read -r tap mac bridge <<< "$4"
  cd "$folder"

  # Waiting long for devices: where this machine is busy, an emulated one may need minutes for what takes others a second.
  kernel_line='root=/dev/vda ro console=ttyS0 quiet mitigations=off no_timer_check systemd.default_timeout_start_sec=900'
  rm -f listen
  mkfifo listen
  exec 3<> listen # kept open: a monitor whose input ends is closed
  again=yes
  while [[ $again = yes ]]; do
    kernel_from_disk
    tap
    rm -f events qmp
    printf '{"execute": "qmp_capabilities"}\n' >&3
    again=no
    # A second monitor writes the machine's events to a file: there it says whether it was switched off or asked for a reboot.
    setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu qemu64 -smp 1 -m "$memory" -no-reboot -display none \
      -serial file:serial -monitor none -qmp unix:qmp,server=on,wait=off \
      -qmp stdio \
      -kernel vmlinuz -initrd initrd -append "$kernel_line" \
      -drive file=disk.qcow2,if=virtio,format=qcow2,cache=unsafe \
      -drive "file=$repository,if=virtio,format=raw,readonly=on" \
      -netdev "tap,id=net,ifname=$tap,script=no,downscript=no" -device "virtio-net-pci,netdev=net,mac=$mac" \
      -device qemu-xhci,id=xhci -device virtio-rng-pci \
      <&3 > events || break
    if grep -q guest-reset events; then again=yes; fi
  done
  ip link delete "$tap"
  exit
}

main "$@"
