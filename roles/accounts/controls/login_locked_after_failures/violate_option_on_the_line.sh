#!/bin/sh
# expect: a lock ends after 30 s, at least 600 s are wanted: unlock_time (/etc/pam.d/common-auth
# faillock.conf reads well; the option on the line beats it.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail/' /etc/pam.d/common-auth
sed -i '0,/^account/s//account required pam_faillock.so\n&/' /etc/pam.d/common-account
printf 'deny = 5\nunlock_time = 900\neven_deny_root\n' >> /etc/security/faillock.conf
sed -i 's/pam_faillock.so preauth/& unlock_time=30/' /etc/pam.d/common-auth
