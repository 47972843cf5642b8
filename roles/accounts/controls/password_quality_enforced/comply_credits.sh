#!/bin/sh
# Each class is asked for by itself, with a greater length, on the module's own line.
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpam-pwquality cracklib-runtime </dev/null
sed -i 's/pam_pwquality.so retry=3/pam_pwquality.so retry=2 minlen=12 ucredit=-1 lcredit=-1 dcredit=-1 ocredit=-1 enforce_for_root/' /etc/pam.d/common-password
