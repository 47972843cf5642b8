#!/bin/sh
# expect: the key of keeper does not open medsec-copies, or not as it must
# with: copied_to: [{host: keeper, address: 192.0.2.7, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ}]
# As it is often done: the key opens a whole shell from anywhere, and sudo asks no questions.
set -eu
umask 077
for product in postgresql mariadb; do
  set=/var/backups/medsec/$product/20260101T000000Z
  mkdir -p "$set"
  cd "$set"
  echo rows > dump
  sha256sum dump > SHA256SUMS
  printf '{"sha256sums": "%s"}\n' "$(sha256sum < SHA256SUMS | cut -d' ' -f1)" > record.json
done
umask 022
useradd --system --shell /bin/bash --create-home --home-dir /var/lib/medsec-copies --groups sudo medsec-copies
echo medsec-copies:Backup-2026 | chpasswd
mkdir /var/lib/medsec-copies/.ssh
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ keeper' > /var/lib/medsec-copies/.ssh/authorized_keys
chown -R medsec-copies: /var/lib/medsec-copies
echo 'medsec-copies ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/medsec-copies
