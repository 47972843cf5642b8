#!/bin/sh
# expect: can let a locked account in: pam_succeed_if
# For one account the lock is skipped; a trial with any other account would not show it.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail/' /etc/pam.d/common-auth
sed -i '0,/^account/s//account required pam_faillock.so\n&/' /etc/pam.d/common-account
printf 'deny = 5\nunlock_time = 900\neven_deny_root\n' >> /etc/security/faillock.conf
sed -i '0,/^auth/s//auth [success=1 default=ignore] pam_succeed_if.so quiet user = hisadmin\n&/' /etc/pam.d/common-auth
