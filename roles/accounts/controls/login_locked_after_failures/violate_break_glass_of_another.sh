#!/bin/sh
# expect: does not count every wrong password
# with: break_glass: [{account: emergency, reason: 网络中断时本机登录, owner: 张工, approver: 信息科主任, compensation: [口令封存于保险柜], expires: 2099-12-31}]
# The account that the ledger permits is open, and beside it one that the ledger knows nothing of.
set -eu
useradd --create-home --shell /bin/bash emergency
sed -i 's/^auth.*pam_unix.so nullok$/auth requisite pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail\nauth sufficient pam_faillock.so authsucc/' /etc/pam.d/common-auth
sed -i '1i auth [success=ignore default=1] pam_succeed_if.so quiet user in emergency:hisadmin\nauth sufficient pam_unix.so' /etc/pam.d/common-auth
printf 'deny = 5\nunlock_time = 900\neven_deny_root\n' >> /etc/security/faillock.conf
