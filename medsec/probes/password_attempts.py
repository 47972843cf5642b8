"""Real attempts to set weak passwords through PAM, for an account that exists in a private copy of /etc only."""

from __future__ import annotations

import itertools
import secrets
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import private_etc
from medsec.text import Text, says

_UPPER, _LOWER, _DIGIT, _OTHER = "BCDFGHJKLMNPQRSTVWXZ", "bcdfghjkmnpqrstvwxz", "23456789", "#%+=_@-"
_CLASSES = {
    says(en="upper-case letter", zh="大写字母"): _UPPER,
    says(en="lower-case letter", zh="小写字母"): _LOWER,
    says(en="digit", zh="数字"): _DIGIT,
    says(en="special character", zh="特殊字符"): _OTHER,
}
# From the word list that comes with cracklib, for the shortest password that is long enough.
_WORDS = ("Elephant", "Administration", "Antidisestablishmentarianism")


@dataclass(frozen=True)
class Candidate:
    """A password to try: what it lacks, or None for one that must be accepted; and the user name it needs, if any."""

    lacks: Text | None
    password: str
    user: str | None = None


@dataclass(frozen=True)
class Attempt:
    """What became of one candidate: through which service, set by whom, and whether it was stored."""

    service: str
    by: str  # "root" or "user"
    candidate: Candidate
    accepted: bool
    message: str


def candidates(*, minlen: int, minclass: int, user: str) -> list[Candidate]:
    """Return passwords that each lack one thing only, and at the end one that lacks nothing.

    + minlen: the characters that are wanted
    + minclass: the classes that are wanted, of four
    """
    length = max(minlen + 8, 16)
    classes = list(_CLASSES)
    weak = [
        Candidate(
            says(en=f"only {minlen - 1} characters", zh=f"仅 {minlen - 1} 位"),
            _mixed(minlen - 1, _CLASSES.values()),
        )
    ]
    for missing in itertools.combinations(classes, 5 - minclass):
        en = " and ".join(f"no {name.en}" for name in missing)
        zh = "、".join(f"无{name.zh}" for name in missing)
        rest = [_CLASSES[name] for name in classes if name not in missing]
        weak.append(Candidate(says(en=en, zh=zh), _mixed(length, rest)))
    weak.append(Candidate(says(en="the user name inside", zh="包含用户名"), f"{_mixed(length - 8)}{user}", user))
    # Too short a word would be refused for its length, and prove nothing.
    for word in [word for word in _WORDS if len(word) + 2 >= minlen][:1]:
        weak.append(Candidate(says(en="a dictionary word", zh="字典单词"), f"{word}#7"))
    return [*weak, Candidate(None, _mixed(length))]


def _mixed(length: int, classes: Iterable[str] = tuple(_CLASSES.values())) -> str:
    """Return random characters, one class after the other, so that nothing repeats and no run of one class forms."""
    turns = itertools.cycle(classes)
    password = ""
    while len(password) < length:
        alphabet = next(turns)
        fresh = [character for character in alphabet if character not in password[-8:]]
        password += secrets.choice(fresh)
    return password


# One account for each attempt, so that all run side by side: libpam makes a user who was refused wait two seconds.
# Each account gets its first hash straight from pam_unix, whatever the stack under trial would say.
_SCRIPT = r"""
for tool in chpasswd grep passwd sed setpriv timeout tr; do
    command -v "$tool" > /dev/null || { echo "$tool is missing" >&2; exit 3; }
done
file_of() { for d in /tmp/pam.d /usr/lib/pam.d /usr/share/pam.d; do [ ! -e "$d/$1" ] || { echo "$d/$1"; return; }; done; }
printf '%s\n' "$rows" | grep -v "$without" | sed "s/^@ /$service /" > /tmp/named
while read -r service by number name password; do
    free_uid
    echo "$service $by $number $name $uid $password"
    uid=$((uid + 1))
done < /tmp/named > /tmp/rows
hash() { sed -n "s/^$1:\([^:]*\):.*/\1/p" /etc/shadow; }
cp -aL /etc/pam.d /tmp/pam.d
while read -r service by number name uid password; do
    if getent passwd "$name" > /dev/null 2>&1; then echo "the account name $name is taken" >&2; exit 3; fi
    echo "$name:x:$uid:$uid::/nonexistent:/bin/sh" >> /etc/passwd
    echo "$name:!:19000:0:99999:7:::" >> /etc/shadow
    echo "$name:x:$uid:" >> /etc/group
    if [ -e /etc/gshadow ]; then echo "$name:!::" >> /etc/gshadow; fi
    echo "$name:$current" >> /tmp/first
done < /tmp/rows
rm -f /etc/pam.d/chpasswd
echo 'password required pam_unix.so sha512 rounds=1000' > /etc/pam.d/chpasswd
chpasswd < /tmp/first
rm -f /etc/pam.d/chpasswd
if [ -n "$(file_of chpasswd)" ]; then cp -L "$(file_of chpasswd)" /etc/pam.d/chpasswd; fi
try() {
    before=$(hash "$name")
    [ "${#before}" -gt 20 ] || { echo "no first password for $name" >&2; exit 3; }
    turn=0
    while [ "$turn" -lt 50 ]; do
        case $by-$service in
            root-chpasswd) echo "$name:$password" | timeout 30 chpasswd;;
            root-*) printf '%s\n%s\n' "$password" "$password" | timeout 30 passwd "$name";;
            user-*) printf '%s\n%s\n%s\n' "$current" "$password" "$password" |
                timeout 30 setpriv --reuid "$uid" --regid "$uid" --clear-groups passwd;;
        esac > "/tmp/said.$name" 2>&1 && break
        # Somebody else was writing at that moment: no answer yet.
        grep -q 'lock busy' "/tmp/said.$name" || break
        turn=$((turn + 1))
    done
    if [ "$(hash "$name")" = "$before" ]; then outcome=refused; else outcome=accepted; fi
    echo "$service|$by|$number|$outcome|$(tr '\n' ' ' < "/tmp/said.$name")" > "/tmp/outcome.$name"
}
# Where chpasswd does not use PAM (the RHEL family builds it so) it writes whatever root gives it: no PAM path.
chpasswd_asks=no
if grep -q 'libpam\.so' "$(command -v chpasswd)"; then chpasswd_asks=yes; fi
in_place=
while read -r service by number name uid password; do
    if [ "$service" = chpasswd ]; then
        if [ "$chpasswd_asks" = no ]; then continue; fi
    elif [ "$service" != "$in_place" ]; then
        wait
        rm -f /etc/pam.d/passwd
        cp -L "$(file_of "$service")" /etc/pam.d/passwd
        in_place=$service
    fi
    try < /dev/null &
done < /tmp/rows
wait
cat /tmp/outcome.*
"""


def attempts(host: Host, services: Sequence[str], *, minlen: int, minclass: int) -> list[Attempt]:
    """Return what became of each candidate, set by root and by its user, through the PAM stack of each service.

    `chpasswd` is tried by itself where it asks PAM. Of any other service the stack is put in the place of `passwd`'s,
    in the private copy. Raises ProbeError when an attempt could not be made.
    """
    # Each service is tried in a copy of /etc of its own: the same passwords and account names serve for all.
    own = {by: candidates(minlen=minlen, minclass=minclass, user=_name()) for by in ("root", "user")}
    by_chpasswd = candidates(minlen=minlen, minclass=minclass, user=_name())
    tried: list[dict[tuple[str, str], list[Candidate]]] = []
    for service in services:
        tried.append({(service, by): row for by, row in own.items()})
    if tried:
        tried[0]["chpasswd", "root"] = by_chpasswd
    rows = _rows({**{("@", by): row for by, row in own.items()}, ("chpasswd", "root"): by_chpasswd})
    script = f"current={shlex.quote(_current())}\nrows={shlex.quote(rows)}\n{private_etc.FREE_UID}{_SCRIPT}"
    given = [
        f"uid={private_etc.some_uid()}\nservice={shlex.quote(service)}\nwithout={'^$' if place == 0 else '^chpasswd'}\n"
        for place, service in enumerate(services)
    ]
    found: list[Attempt] = []
    for group, output in zip(tried, private_etc.run_all(host, script, given), strict=True):
        found += _complete(group, output)
    return found


def _rows(tried: Mapping[tuple[str, str], Sequence[Candidate]]) -> str:
    return "\n".join(
        f"{service} {by} {number} {candidate.user or _name()} {candidate.password}"
        for (service, by), row in tried.items()
        for number, candidate in enumerate(row)
    )


def _complete(tried: Mapping[tuple[str, str], Sequence[Candidate]], output: str) -> list[Attempt]:
    """Return the attempts in `output`. Raises ProbeError when one that was to be made is missing."""
    found = parse(output, tried)
    done = Counter((attempt.service, attempt.by) for attempt in found)
    for path, row in tried.items():
        # chpasswd does not ask PAM everywhere.
        if done[path] != len(row) and (path[0] != "chpasswd" or done[path]):
            raise ProbeError(
                says(
                    en=f"attempts through {path[0]} by {path[1]} are missing: {output}",
                    zh=f"缺少经 {path[0]}（由 {path[1]} 设置）的实测结果：{output}",
                )
            )
    return found


def _current() -> str:
    """Return the password that the accounts have before: no character of it is in a candidate (difok counts those)."""
    characters = list("aeiouyAEIOUY01.,~^")
    return "".join(characters.pop(secrets.randbelow(len(characters))) for _ in range(len(characters)))


def _name() -> str:
    return "m" + "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(8))


def parse(output: str, tried: Mapping[tuple[str, str], Sequence[Candidate]]) -> list[Attempt]:
    """Return the attempts that the script reported, one a line: service|by|number|outcome|what the program said."""
    found = {}
    for line in output.splitlines():
        fields = line.split("|", 4)
        if len(fields) != 5 or fields[3] not in ("accepted", "refused") or not fields[2].isdigit():
            raise ProbeError(says(en=f"an attempt was reported as {line!r}", zh=f"实测结果无法识别：{line!r}"))
        service, by, number, outcome, message = fields
        candidate = tried[service, by][int(number)]
        attempt = Attempt(service, by, candidate, outcome == "accepted", message.strip())
        found[list(tried).index((service, by)), int(number)] = attempt
    return [found[place] for place in sorted(found)]
