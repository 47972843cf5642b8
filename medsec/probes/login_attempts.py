"""Real failing logins through PAM, for an account and a root that exist in a private copy of /etc only."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import private_etc
from medsec.text import says


@dataclass(frozen=True)
class Trial:
    """What a service did with one account, given the right password, then wrong ones, then the right one again."""

    service: str
    account: str  # "user", "root", or the name of a spared one
    let_in_before: bool
    wrong_let_in: int
    let_in_after: bool
    said: str


# `su` carries the trials, called by an account without any right: it takes a password from stdin and asks the PAM
# service `su`, in whose place, in the private copy, stands the auth stack of the service under trial. The wrong
# passwords after the first go in side by side, since libpam makes each failure wait about two seconds.
_SCRIPT = r"""
for tool in awk chpasswd sed setpriv su timeout; do
    command -v "$tool" > /dev/null || { echo "$tool is missing" >&2; exit 3; }
done
for account in "$user" "$caller"; do
    if getent passwd "$account" > /dev/null 2>&1; then echo "the account name $account is taken" >&2; exit 3; fi
    free_uid
    echo "$account:x:$uid:$uid::/nonexistent:/bin/sh" >> /etc/passwd
    echo "$account:!:19000:0:99999:7:::" >> /etc/shadow
    echo "$account:x:$uid:" >> /etc/group
    caller_uid=$uid
    uid=$((uid + 1))
done
# pam_wheel and its like must not refuse the caller.
awk -F: -v OFS=: -v who="$caller" '{ $4 = $4 ($4 == "" ? "" : ",") who; print }' /etc/group > /tmp/group
cat /tmp/group > /etc/group
file_of() { for d in /tmp/pam.d /usr/lib/pam.d /usr/share/pam.d; do [ ! -e "$d/$1" ] || { echo "$d/$1"; return; }; done; }
cp -aL /etc/pam.d /tmp/pam.d
rm -f /etc/pam.d/chpasswd
echo 'password required pam_unix.so sha512 rounds=1000' > /etc/pam.d/chpasswd
printf '%s:%s\n' "$user" "$right" root "$right" | chpasswd
rm -f /etc/nologin /etc/pam.d/su
# su writes failures to btmp: there they would look like somebody's.
if [ -e /var/log/btmp ]; then : > /tmp/btmp; mount --bind /tmp/btmp /var/log/btmp; fi
login() { # ACCOUNT PASSWORD
    printf '%s\n' "$2" | timeout 40 setpriv --reuid "$caller_uid" --regid "$caller_uid" --init-groups su -c true "$1"
}
trial() { # SERVICE KIND ACCOUNT
    before=no; after=no; wrong_in=0; jobs=
    if login "$3" "$right" > "/tmp/said.$2" 2>&1; then before=yes; fi
    if [ "$deny" -eq 0 ]; then echo "$1|$2|$before|0|no|" > "/tmp/outcome.$2"; return; fi
    # The first alone: pam_faillock loses counts when several failures make the tally file at the same moment.
    if login "$3" "$wrong" > /dev/null 2>&1; then wrong_in=1; fi
    i=1
    while [ "$i" -lt "$deny" ]; do
        login "$3" "$wrong$i" > /dev/null 2>&1 &
        jobs="$jobs $!"
        i=$((i + 1))
    done
    for job in $jobs; do if wait "$job"; then wrong_in=$((wrong_in + 1)); fi; done
    if login "$3" "$right" >> "/tmp/said.$2" 2>&1; then after=yes; fi
    echo "$1|$2|$before|$wrong_in|$after|$(tr '\n' ' ' < "/tmp/said.$2")" > "/tmp/outcome.$2"
}
sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' "$(file_of "$service")" |
    sed -n -e 's/^[[:space:]]*@include[[:space:]]\{1,\}/auth include /p' -e '/^[[:space:]]*-\{0,1\}auth[[:space:]]/p' \
        > /etc/pam.d/su
printf 'account required pam_permit.so\nsession required pam_permit.so\n' >> /etc/pam.d/su
for folder in $tallies; do find "$folder" -mindepth 1 -delete; done
trial "$service" user "$user" &
trial "$service" root root &
outcomes="/tmp/outcome.user /tmp/outcome.root"
for name in $spared; do
    printf '%s:%s\n' "$name" "$right" | chpasswd
    trial "$service" "$name" "$name" &
    outcomes="$outcomes /tmp/outcome.$name"
done
wait
cat $outcomes
"""


def trials(
    host: Host, services: Sequence[str], *, deny: int, tallies: Sequence[str], spared: Sequence[str] = ()
) -> list[Trial]:
    """Return what the auth stack of each service did with an account, and with root, after `deny` wrong passwords.

    + deny: wrong passwords to give; with 0 only the right one is given, once
    + tallies: folders in which pam_faillock counts; the trials see empty ones of their own
    + spared: accounts of the host that are tried as well, in the copy, with a password of the trial's own

    Raises ProbeError when a trial could not be made.
    """
    given = [_given(service, deny, tallies, spared) for service in services]
    found = [
        trial
        for output in private_etc.run_all(host, private_etc.FREE_UID + _SCRIPT, given, hide=tallies)
        for trial in parse(output)
    ]
    if [(trial.service, trial.account) for trial in found] != [
        (service, account) for service in services for account in ("user", "root", *spared)
    ]:
        raise ProbeError(
            says(en=f"only {len(found)} trials were made: {found}", zh=f"仅完成 {len(found)} 次实测：{found}")
        )
    return found


def _given(service: str, deny: int, tallies: Sequence[str], spared: Sequence[str]) -> str:
    given = {
        "user": "m" + _letters(),
        "caller": "n" + _letters(),
        "uid": str(private_etc.some_uid()),
        "right": secrets.token_hex(12),
        "wrong": secrets.token_hex(12),
        "deny": str(deny),
        "service": service,
        "tallies": " ".join(tallies),
        "spared": " ".join(spared),
    }
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in given.items()) + "\n"


def _letters() -> str:
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(8))


def parse(output: str) -> list[Trial]:
    """Return the trials that the script reported: service|account|before|wrong passwords let in|after|words."""
    found = []
    for line in output.splitlines():
        fields = line.split("|", 5)
        if len(fields) != 6 or fields[2] not in ("yes", "no") or not fields[3].isdigit():
            raise ProbeError(says(en=f"a trial was reported as {line!r}", zh=f"实测结果无法识别：{line!r}"))
        service, account, before, wrong, after, said = fields
        found.append(Trial(service, account, before == "yes", int(wrong), after == "yes", said.strip()))
    return found
