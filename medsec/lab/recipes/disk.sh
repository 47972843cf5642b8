#!/bin/bash
# disk.sh FOLDER OUT
# OUT/disk.img: FOLDER as a read-only disk for virtual machines.
set -euo pipefail
folder=$1 out=$2
size=$(($(du --summarize --block-size=1M "$folder" | cut -f1) * 11 / 10 + 16))
truncate -s "${size}M" "$out/disk.img"
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$folder" "$out/disk.img"
