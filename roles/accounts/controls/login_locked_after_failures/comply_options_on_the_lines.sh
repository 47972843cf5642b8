#!/bin/sh
# Written by hand, stricter than wanted, all values on the lines.
set -eu
sed -i 's/^auth.*pam_unix.so nullok$/auth required pam_faillock.so preauth deny=3 unlock_time=900 even_deny_root root_unlock_time=600\nauth sufficient pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail deny=3 unlock_time=900 even_deny_root root_unlock_time=600/' /etc/pam.d/common-auth
sed -i '0,/^account/s//account required pam_faillock.so\n&/' /etc/pam.d/common-account
