#!/bin/sh
# expect: it agreed on a protocol before TLS 1.2 when that was tried
# kind: db
# For a driver of ten years ago, read after every other drop-in: old protocols, and ciphers that encrypt nothing.
set -eu
printf "ssl_min_protocol_version = 'TLSv1'\nssl_ciphers = 'ALL:eNULL:@SECLEVEL=0'\nlisten_addresses = '*'\n" > /etc/postgresql/15/main/conf.d/zzz-driver.conf
systemctl restart postgresql@15-main.service
