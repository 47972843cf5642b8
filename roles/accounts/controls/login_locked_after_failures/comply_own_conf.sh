#!/bin/sh
# The count is taken back by authsucc; three tries, as pam_faillock has it by itself.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\nauth sufficient pam_faillock.so authsucc/' /etc/pam.d/common-auth
printf 'even_deny_root\nunlock_time = 600\n' >> /etc/security/faillock.conf
