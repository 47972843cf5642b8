#!/bin/sh
# expect: failures cannot be counted: /var/lib/nowhere/faillock
# The lines and values are in place; the folder of the counts cannot be made.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail/' /etc/pam.d/common-auth
sed -i '0,/^account/s//account required pam_faillock.so\n&/' /etc/pam.d/common-account
printf 'deny = 5\nunlock_time = 900\neven_deny_root\n' >> /etc/security/faillock.conf
echo 'dir = /var/lib/nowhere/faillock' >> /etc/security/faillock.conf
