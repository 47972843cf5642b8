#!/bin/bash
# The main job from end to end, on real hosts: boot a clinic, find it wanting, harden it, prove it, sabotage it, see it
# found out, harden a fresh clinic by the other engine, and write the report.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${MEDSEC_LANG:-${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}} in
  zh*) say() { printf '\n=== %s\n' "$2"; } ;;
  *) say() { printf '\n=== %s\n' "$1"; } ;;
esac

# expect CODE COMMAND... : the exit code is part of what is shown, 0 all pass, 1 findings
expect() {
  local wanted=$1 code=0
  shift
  printf '$ %s\n' "$*"
  "$@" || code=$?
  if [ "$code" != "$wanted" ]; then
    say "Stopped: exit code $code where $wanted was expected." "中止：退出码为 $code，预期为 $wanted。"
    exit 1
  fi
}

# A server's own data: a backup of nothing restores to nothing, which a drill does not take for proof.
work() {
  medsec lab ssh his-db "sudo -u postgres psql -qc 'CREATE TABLE visit AS SELECT i AS id FROM generate_series(1, 1000) AS i' &&
    sudo mariadb -e 'CREATE DATABASE his; USE his; CREATE TABLE fee AS SELECT seq AS id FROM seq_1_to_1000'"
}

# The lab goes when the demo ends, however it ends; `KEEP=1 make demo` leaves it to look around in.
finish() { [ -n "${KEEP:-}" ] || medsec lab down; }
trap finish EXIT

started=$SECONDS
site=demo-site
rm -rf "$site"

say "1/6 Boot the clinic: six real hosts, three zones, a gateway between them" "1/6 启动诊所：六台真实主机，三个区域，由网关隔离"
expect 0 medsec lab up --inventory "$site/inventory"
cd "$site"
expect 0 medsec lab status
work

say "2/6 Untouched hosts are found wanting" "2/6 未加固的主机：判为不符合"
expect 1 medsec verify

say "3/6 Harden with Ansible; what no remedy can do is left: to prove the backup by restoring it" "3/6 用 Ansible 整改；唯一须人工完成的是恢复演练"
expect 1 medsec apply --engine ansible --yes
expect 0 medsec drill restore --host his-db
expect 0 medsec verify

say "4/6 Sabotage one host; verify finds it out" "4/6 人为破坏一台主机，复核应能发现"
expect 0 medsec lab ssh his-app "echo PermitRootLogin yes | sudo tee /etc/ssh/sshd_config.d/00-vendor.conf >/dev/null && sudo sed -i /PermitRootLogin/d /etc/ssh/sshd_config && sudo systemctl reload ssh"
expect 1 medsec verify --limit his-app

say "5/6 The same by pyinfra, on fresh hosts" "5/6 换用 pyinfra，在全新主机上再做一遍"
expect 0 medsec lab down
expect 0 medsec lab up --inventory inventory
work
expect 1 medsec apply --engine pyinfra --yes
expect 0 medsec drill restore --host his-db

say "6/6 Verify and report" "6/6 最终复核并出具报告"
expect 0 medsec verify -f text -f html=report.html -f junit=report.xml
say "Done in $((SECONDS - started)) s. Report: $site/report.html" "完成，用时 $((SECONDS - started)) 秒。报告：$site/report.html"
