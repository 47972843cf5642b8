# shellcheck shell=sh
# A drill on its host: restores one backup into a server of its own below $scratch and tells what came out.
# It runs as a unit of systemd without a network that may write below $scratch only; systemd ends and clears everything
# when this script is gone, however that came about.
#   sh -c THIS sh UNIT SCRATCH SET PRODUCT      SET is the backup's folder, or - where it comes as a tar archive
# Each line: seconds since 1970, what, text. What follows is `prove`, which the engine's own file defines.
set -eu
umask 077
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
unit=$1 scratch=$2 set=$3
log=$scratch/log

say() { printf '%s\t%s\t%s\n' "$(date +%s.%N)" "$1" "$2"; }
step() { # ID: the log holds what this step said
  : > "$log"
  say step "$1"
}
# What went wrong, without the rows and statements that servers quote: they are patients' data.
one_line() { grep -iE 'error|fatal|fail|corrupt|end of|no end' | sed "s/ near '.*//" | tail -n 2 | cut -c1-250 | tr '\n\t' '  '; }
fault() { # CODE TEXT
  if grep -qs 'No space left on device' "$log" "$scratch"/*/server.log || [ "$(df -Pk "$scratch" | awk 'NR == 2 {print $4}')" -lt 64 ]; then
    say fault "room $(df -Pm "$scratch" | awk 'NR == 2 {print $4}') MiB"
  else
    say fault "$1 $2"
  fi
  exit 1
}
try() { # CODE COMMAND...: what the command says goes to the log
  code=$1
  shift
  "$@" >> "$log" 2>&1 || fault "$code" "$(one_line < "$log")"
}
need() { for tool in "$@"; do command -v "$tool" > /dev/null || fault tools "$tool"; done; }

# The controller holds this script's input open: when it is gone, so is the drill.
exec 3<&0 < /dev/null
mkdir "$scratch"
chmod 711 "$scratch"
: > "$log"
# What systemd is told to do at the end comes when this shell is gone: not before its servers are.
trap 'wait; while cat "$scratch"/*/data/postmaster.pid > /dev/null 2>&1; do sleep 0.2; done; exit 143' TERM
if [ "$set" = - ]; then
  step copy
  mkdir "$scratch/set"
  try copy tar -x -C "$scratch/set" --strip-components=1 <&3
  set=$scratch/set
fi
(cat <&3 > /dev/null; systemctl stop --no-block "$unit") 2> /dev/null &
exec 3<&-

step digest
(cd "$set" && sha256sum -c --quiet --strict SHA256SUMS) >> "$log" 2>&1 || fault digest "$(grep -v WARNING "$log" | one_line)"
needed=$(($(du -sm "$set" | cut -f1) * 3 + 128))
free=$(df -Pm "$scratch" | awk 'NR == 2 {print $4}')
[ "$free" -ge "$needed" ] || fault room "$free MiB"
