#!/bin/sh
# expect: wrong passwords are not counted: no pam_faillock in the auth stack of
# As Debian ships it: pam_unix alone, wrong passwords without end.
set -eu
! grep -q pam_faillock /etc/pam.d/common-auth
