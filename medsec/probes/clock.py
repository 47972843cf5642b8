"""What the clock of a host follows: its time daemons, their sources as configured and in use, and the time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says

# $1 is the time zone that is wanted; further arguments are addresses that a time source has to serve.
_QUESTION = re.sub(
    r"(?m)^\s*#.*\n",
    "",
    r"""
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
zone=$1; shift
echo '== processes'
ls -l /proc/[0-9]*/exe 2> /dev/null | sed -n 's,^.* /proc/\([0-9]*\)/exe -> \(.*\)$,\1 \2,p' | while read -r number program; do
  case ${program##*/} in
    chronyd* | systemd-timesyncd* | ntpd* | ntp-daemon* | openntpd* | ptp4l* | phc2sys* | timemaster* | ntpdate* | sntp* | htpdate* | busybox*) ;;
    *) continue ;;
  esac
  arguments=$(tr '\0' ' ' < "/proc/$number/cmdline")
  case $program in *busybox*) case $arguments in *ntpd*) ;; *) continue ;; esac ;; esac
  unit=$(sed -n 's,^[0-9]*:\(name=systemd\)\{0\,1\}:.*/\([^/]*\.\(service\|scope\)\).*,\2,p' "/proc/$number/cgroup" | head -n 1)
  printf '%s\t%s\t%s\t%s\n' "$number" "$unit" "${program%" (deleted)"}" "$arguments"
done
echo '== container'
systemd-detect-virt --container || true
echo '== units'
systemctl show --property=Id --property=LoadState --property=ActiveState --property=UnitFileState -- \
  chrony.service chronyd.service systemd-timesyncd.service ntp.service ntpd.service ntpsec.service openntpd.service
if systemctl -q is-active chrony.service chronyd.service; then
  command -v chronyc > /dev/null || { echo 'chronyc is missing' >&2; exit 127; }
  # A daemon that was started a moment ago gets its chance.
  main=$(systemctl show --property=MainPID --value chrony.service)
  if [ "${main:-0}" = 0 ]; then main=$(systemctl show --property=MainPID --value chronyd.service); fi
  age=$(($(date +%s) - $(stat -c %Y "/proc/$main")))
  tries=10
  while [ "$age" -lt 120 ] && [ "$tries" -gt 0 ] && ! chronyc -c tracking | grep -q ',Normal$'; do
    tries=$((tries - 1)); sleep 2
  done
  echo '== chrony sources'
  chronyc -n -c sources || exit 1
  echo '== chrony names'
  chronyc -N -c sources || true
  echo '== chrony tracking'
  chronyc -n -c tracking || exit 1
  echo '== chrony access'
  for address in "$@"; do printf '%s ' "$address"; chronyc accheck "$address"; done
  echo '== chrony configuration'
  file=$(tr '\0' ' ' < "/proc/$main/cmdline" | sed -n 's/.* -f *\([^ ]*\).*/\1/p')
  if [ -z "$file" ]; then for file in /etc/chrony/chrony.conf /etc/chrony.conf; do [ ! -e "$file" ] || break; done; fi
  configuration=$(chronyd -p -f "$file") || exit 1
  printf '%s\n' "$configuration"
  printf '%s\n' "$configuration" | awk 'tolower($1) == "sourcedir" { for (i = 2; i <= NF; i++) print $i }' | while read -r folder; do
    cat "$folder"/*.sources 2> /dev/null
  done
fi
if systemctl -q is-active systemd-timesyncd.service; then
  # Its first answer may move the clock; the second one tells how well that went.
  age=$(($(date +%s) - $(stat -c %Y "/proc/$(systemctl show --property=MainPID --value systemd-timesyncd.service)")))
  tries=10
  while [ "$age" -lt 120 ] && [ "$tries" -gt 0 ] && ! timedatectl timesync-status | grep -Eq 'Packet count: ([2-9]|[0-9]{2,})'; do
    tries=$((tries - 1)); sleep 2
  done
  echo '== timesyncd'
  timedatectl show-timesync || exit 1
  timedatectl timesync-status | sed -n 's/^ *\(Offset\|Packet count\): */\1=/p'
  timedatectl show --property=NTPSynchronized
  echo '== timesyncd configuration'
  systemd-analyze cat-config systemd/timesyncd.conf
fi
echo '== zone'
date +%z
TZ=":$zone" date +%z
if cmp -s /etc/localtime "/usr/share/zoneinfo/$zone"; then echo same; else echo other; fi
[ -e "/usr/share/zoneinfo/$zone" ] && echo known || echo unknown
systemctl show-environment | sed -n 's/^TZ=//p'
echo '== end'
""",
)


@dataclass(frozen=True)
class Daemon:
    """One process that sets the clock, or tries to."""

    pid: int
    unit: str
    program: str
    # Told to measure and never to correct the clock (chronyd -x).
    hands_off: bool


@dataclass(frozen=True)
class Service:
    """One unit of a time daemon."""

    name: str
    active: bool
    enabled: bool


@dataclass(frozen=True)
class Following:
    """What one time daemon follows."""

    daemon: str
    # Sources in use now, by address or name, and those that a start would take from the configuration.
    sources: tuple[str, ...]
    configured: tuple[str, ...]
    # The source that the clock follows at this moment; empty where it follows none.
    selected: str
    synchronised: bool
    offset_ms: float | None


@dataclass(frozen=True)
class Clock:
    """The clock of a host."""

    daemons: tuple[Daemon, ...]
    # A container's clock is its machine's: nobody in it may correct it.
    in_container: bool
    services: tuple[Service, ...]
    following: tuple[Following, ...]
    # Addresses that a time source refuses to serve, of those asked for.
    refused: tuple[str, ...]
    zone_known: bool
    zone_right: bool
    zone_shown: str


def clock(host: Host, zone: str, served: Sequence[str] = ()) -> Clock:
    """Return what the clock of `host` follows, read as root with one command.

    + zone: the time zone that is wanted, as "Asia/Shanghai"
    + served: addresses that the host, as a time source, has to serve

    Raises ProbeError when the host does not answer.
    """
    done = host.run("sh -c %s sh" + " %s" * (1 + len(served)), _QUESTION, zone, *served)
    if done.rc != 0 or "== end" not in done.stdout:
        raise ProbeError(
            says(
                en=f"the time service could not be asked (exit code {done.rc}): {done.stderr.strip()[-300:]}",
                zh=f"无法查询对时服务（退出码 {done.rc}）：{done.stderr.strip()[-300:]}",
            )
        )
    return parse(done.stdout, zone)


def parse(answer: str, zone: str) -> Clock:
    """Return what the answer to the question says. Raises ProbeError when it does not parse."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in answer.splitlines():
        if line.startswith("== "):
            lines = sections.setdefault(line.removeprefix("== "), [])
        else:
            lines.append(line)
    try:
        following = [
            *([_chrony(sections)] if "chrony tracking" in sections else []),
            *([_timesyncd(sections)] if "timesyncd" in sections else []),
        ]
        here, there, same, known, *forced = sections["zone"]
        return Clock(
            daemons=tuple(_daemon(line) for line in sections["processes"] if line),
            in_container=sections["container"] not in ([], ["none"]),
            services=tuple(_services(sections["units"])),
            following=tuple(following),
            refused=tuple(_refused(sections.get("chrony access", []))),
            zone_known=known == "known",
            zone_right=same == "same" and here == there and forced in ([], [zone], [f":{zone}"]),
            zone_shown=f"{here} {' '.join(forced)}".strip(),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise ProbeError(
            says(
                en=f"the answer about the time service does not parse ({error!r}): {answer[:200]!r}",
                zh=f"对时服务的查询结果无法解析（{error!r}）：{answer[:200]!r}",
            )
        ) from error


def _daemon(line: str) -> Daemon:
    number, unit, program, arguments = line.split("\t")
    hands_off = "chronyd" in program and any(re.fullmatch("-[46dmnqQrRs]*x", word) for word in arguments.split())
    return Daemon(int(number), unit, program, hands_off)


def _services(lines: Iterable[str]) -> Iterable[Service]:
    seen: dict[str, Service] = {}
    for block in "\n".join(lines).strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if values["LoadState"] != "not-found":
            name = values["Id"]
            seen[name] = Service(name, values["ActiveState"] == "active", values["UnitFileState"] == "enabled")
    return seen.values()


def _chrony(sections: dict[str, list[str]]) -> Following:
    rows = [line.split(",") for line in sections["chrony sources"] if line]
    names = [line.split(",") for line in sections["chrony names"] if line]
    tracking = next(line for line in sections["chrony tracking"] if line).split(",")
    configured = []
    for line in sections["chrony configuration"]:
        words = line.split()
        if len(words) > 1 and words[0].lower() in ("server", "pool", "peer", "refclock"):
            configured.append(words[1])
    # A source that was given by a name is known by either.
    aliases = {row[2]: name[2] for row, name in zip(rows, names, strict=False)}
    shown = {row[2]: row[2] if row[2] in configured else aliases.get(row[2], row[2]) for row in rows}
    selected = next((shown[row[2]] for row in rows if row[1] == "*"), "")
    return Following(
        daemon="chrony",
        sources=tuple(shown.values()),
        configured=tuple(configured),
        selected=selected,
        synchronised=tracking[-1] in ("Normal", "Insert second", "Delete second"),
        offset_ms=abs(float(tracking[4])) * 1000,
    )


def _timesyncd(sections: dict[str, list[str]]) -> Following:
    values = dict(line.partition("=")[::2] for line in sections["timesyncd"] if "=" in line)
    used = [
        name
        for key in ("SystemNTPServers", "LinkNTPServers", "RuntimeNTPServers")
        for name in values.get(key, "").split()
    ]
    # The fallback servers count only while no other server is known.
    used = used or values.get("FallbackNTPServers", "").split()
    configured: list[str] = []
    for line in sections["timesyncd configuration"]:
        key, _, value = line.strip().partition("=")
        if key == "NTP":
            configured = [*configured, *value.split()] if value else []
    return Following(
        daemon="systemd-timesyncd",
        sources=tuple(used),
        configured=tuple(configured),
        selected=values.get("ServerName", "") or values.get("ServerAddress", ""),
        synchronised=values.get("NTPSynchronized") == "yes" and values.get("Packet count", "0") != "0",
        offset_ms=_milliseconds(values.get("Offset", "")),
    )


def _milliseconds(text: str) -> float | None:
    """Return a span of time as systemd writes it ("+1.2ms", "-4min 3.1s") in milliseconds."""
    factors = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
    total = 0.0
    for word in text.strip().lstrip("+-").split():
        number = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        if word[len(number) :] not in factors:
            return None
        total += float(number) * factors[word[len(number) :]]
    return total if text.strip() else None


def _refused(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        address, _, said = line.partition(" ")
        if address and "Access allowed" not in said:
            yield address
