"""rsyslog as it runs: the files that it holds open, and whether the newest records of the journal are in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# The proof writes nothing: our own login has just left records in the journal, and rsyslog must have them too. It may
# take a moment. A text alone is no proof, since logins look alike: the file must also have been written since. Of what
# sshd says, a record with the client's port is looked for, which no other login has.
_READ = r"""
export LC_ALL=C
command -v systemctl > /dev/null || { echo 'systemctl is missing' >&2; exit 3; }
if ! command -v rsyslogd > /dev/null; then echo 'installed=no'; echo '==== end'; exit 0; fi
echo installed=yes
systemctl show --property=ActiveState --property=UnitFileState --property=MainPID rsyslog.service
pid=$(systemctl show --property=MainPID --value rsyslog.service)
found_in() { # TIME MESSAGE
  for link in /proc/"$pid"/fd/*; do
    file=$(readlink "$link") || continue
    case $file in /dev/* | /run/* | /tmp/* | *' (deleted)' | *:\[*) continue ;; /*) ;; *) continue ;; esac
    for place in "$file" "$file.1" "$file"-20*; do
      if [ -f "$place" ] && [ "$(stat -c %Y "$place")" -ge $(($1 - 2)) ] && grep -qF -- "$2" "$place"; then printf '%s\n' "$file"; return; fi
    done
  done
}
try() { # NAME MATCH...
  name=$1; shift
  record=$(journalctl -q --no-pager -o short-unix "$@" | grep -vE 'COMMAND=|#[0-9]{3}' |
    awk -v name="$name" '$1 ~ /^[0-9]+\.[0-9]+$/ && length($0) < 300 && (name != "login" || / port [0-9]/) { last = $0 } END { print last }')
  if [ -z "$record" ]; then echo "$name=none"; return; fi
  when=${record%%.*}
  message=$(printf '%s\n' "$record" | sed 's/^[0-9.]* [^ ]* [^ ]*: *//')
  echo "$name-record=$record"
  for _ in 1 2 3 4 5 6; do
    file=$(found_in "$when" "$message")
    if [ -n "$file" ]; then echo "$name=$file"; return; fi
    sleep 0.5
  done
  echo "$name=lost"
}
if [ "$pid" != 0 ]; then
  ls -l "/proc/$pid/fd" | sed -n 's,^.* -> \(/.*(deleted)\)$,deleted=\1,p' | grep -vE '^deleted=/(proc|dev|memfd:|run)'
  try auth -n 200 SYSLOG_FACILITY=4 SYSLOG_FACILITY=10
  try login --since=-10min SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=sshd-session
  try system -n 200 SYSLOG_FACILITY=3 _PID=1
fi
echo '==== end'
"""


@dataclass(frozen=True)
class Rsyslog:
    """The state of rsyslog; `facts` are its properties in systemd's words and the outcome of each proof."""

    facts: Mapping[str, str]

    @property
    def installed(self) -> bool:
        return self.facts["installed"] == "yes"

    @property
    def active(self) -> bool:
        return self.facts.get("ActiveState") == "active"

    @property
    def enabled(self) -> bool:
        return self.facts.get("UnitFileState") in ("enabled", "static", "alias")

    @property
    def states(self) -> str:
        return ", ".join(filter(None, (self.facts.get("ActiveState"), self.facts.get("UnitFileState"))))

    def lost(self, kind: str) -> str | None:
        """Return a record of `kind` ("auth", "login" or "system") that the journal has and rsyslog's files lack, else None."""
        return self.facts.get(f"{kind}-record") if self.facts.get(kind) == "lost" else None

    def require_proof(self) -> None:
        """Raise ProbeError where the journal has no record of a login to look for in the files of rsyslog."""
        if self.installed and self.facts.get("auth", "none") == "none":
            raise ProbeError(
                says(
                    en="the journal has no record of any login, so that nothing proves that rsyslog writes; log in over SSH "
                    "once and judge again",
                    zh="systemd 日志中没有任何登录记录，无法证明 rsyslog 正在写入；请通过 SSH 登录一次后重新检查",
                )
            )


def rsyslog(host: Host) -> Rsyslog:
    """Return the state of rsyslog on `host`. Raises ProbeError when it cannot be asked, or the journal is silent."""
    answer = host.run(_READ)
    state = parse(answer.stdout)
    if answer.rc != 0 or not answer.stdout.rstrip().endswith("==== end"):
        raise ProbeError(
            says(
                en=f"the state of rsyslog cannot be read: {answer.stderr.strip()}",
                zh=f"无法读取 rsyslog 的运行状态：{answer.stderr.strip()}",
            )
        )
    return state


def parse(output: str) -> Rsyslog:
    """Return the state from lines of NAME=VALUE."""
    return Rsyslog(
        dict(line.split("=", 1) for line in output.splitlines() if "=" in line and not line.startswith("===="))
    )
