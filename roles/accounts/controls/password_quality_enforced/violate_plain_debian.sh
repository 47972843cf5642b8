#!/bin/sh
# expect: by root: only 7 characters, no upper-case letter, no lower-case letter, no digit, no special character
# As Debian ships it: pam_unix alone, with its own mild test for users and none for root.
set -eu
! grep -q pam_pwquality /etc/pam.d/common-password
