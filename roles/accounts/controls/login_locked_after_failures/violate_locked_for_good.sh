#!/bin/sh
# expect: a locked account stays locked for good
# A lock that never ends: whoever knows a name shuts its owner out.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail/' /etc/pam.d/common-auth
sed -i '0,/^account/s//account required pam_faillock.so\n&/' /etc/pam.d/common-account
printf 'deny = 5\nunlock_time = never\neven_deny_root\n' >> /etc/security/faillock.conf
