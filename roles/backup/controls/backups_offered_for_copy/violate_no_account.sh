#!/bin/sh
# expect: there is no account medsec-copies
# with: copied_to: [{host: keeper, address: 192.0.2.7, key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOt6Jv7TOqX8jkzKyI3a12eiRSh7MQKCB9E9krpcyxKJ}]
# Backups are made and sealed, and lie on this server alone.
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
