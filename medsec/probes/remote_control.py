"""Software on a host that a catalogue of products names, wherever it shows itself: remote control, database tools."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field
from testinfra.host import Host

from medsec.catalogue.source import Bilingual, Strict, read_yaml, validate
from medsec.errors import ProbeError
from medsec.text import Text, says


class Product(Strict):
    """One product, by every name it goes under; `files/products.yml` explains the fields."""

    id: str
    name: Bilingual
    packages: list[str]
    units: list[str]
    images: list[str]
    files: list[str]
    paths: list[str]
    signatures: list[str]
    ports: list[str]
    traces: list[str]
    seen: list[str]
    convicting_ports: list[str] = Field(default_factory=list)
    commands: list[str] = Field(default_factory=list)
    # The kinds of host on which it counts; none written: all.
    kinds: list[str] = Field(default_factory=list)


class Catalogue(Strict):
    """What `files/products.yml` or `files/database_clients.yml` holds; they explain the fields."""

    also_words: frozenset[str]
    runnable_suffixes: list[str]
    products: list[Product]
    needed_stay: bool = False

    def on(self, kind: str) -> Catalogue:
        """Return the catalogue as it counts on a host of this kind."""
        products = [product for product in self.products if not product.kinds or kind in product.kinds]
        return self.model_copy(update={"products": products})


@dataclass(frozen=True)
class Process:
    """A running process: its program file, as the kernel knows it, and its arguments as it shows them."""

    pid: int
    executable: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Scan:
    """All that was looked at on a host, before it is held against any product."""

    packages: frozenset[str]
    # Unit name to where it comes from: "masked", its file, or "user unit" and its file.
    units: Mapping[str, str]
    active: frozenset[str]
    processes: tuple[Process, ...]
    # Process id to the signatures that its program file carries.
    signatures: Mapping[int, tuple[str, ...]]
    paths: tuple[str, ...]
    files: tuple[str, ...]
    # Lines of units, cron tables, start-up scripts and desktop entries that would start something: file and line.
    launches: tuple[tuple[str, str], ...]
    # Port ("tcp/5900") to what listens there for other hosts.
    listeners: Mapping[str, str]


@dataclass(frozen=True)
class Sighting:
    """One place where a product shows itself. `kind`: package, unit, process, path, launch or listener."""

    kind: str
    what: str


@cache
def read_catalogue(path: Path) -> Catalogue:
    """Return the catalogue at `path`; raises UsageError naming the entry that is wrong."""
    catalogue = validate(Catalogue, read_yaml(path), str(path))
    if len({product.id for product in catalogue.products}) != len(catalogue.products):
        raise ProbeError(says(en=f"{path}: a product id is written twice", zh=f"{path}：产品编号重复"))
    return catalogue


# Interpreters and wrappers: the program is the argument that follows, not the process image.
_WRAPPERS = re.compile(
    r"(?:ba|da|z|k)?sh|perl|python[0-9.]*|ruby|node|java|env|nohup|setsid|nice|busybox|ld-linux.*|ld-[0-9.]+\.so|"
    r"wine.*|wineserver|box64|qemu-\w+(?:-static)?|proot|firejail|bwrap|xvfb-run|(?:php|pypy|lua|electron)[0-9.]*|mono|dotnet",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[/\\]")


def program(word: str) -> str:
    """Return the name of the program that `word` names, on Linux, in Wine or in memory only, without a "(deleted)" mark."""
    return _SEPARATORS.split(word.removesuffix(" (deleted)"))[-1].removeprefix("memfd:")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether `name` is one of `patterns`, upper and lower case being one."""
    return _one_of(tuple(patterns)).fullmatch(name.lower()) is not None


@cache
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Hundreds of names are held against each product's patterns: one expression answers for all of them.
    return re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns) or "(?!)")


@lru_cache(maxsize=1024)
def names_of(process: Process) -> list[str]:
    """Return the names of the programs that `process` may be running."""
    names = [program(process.executable), *(program(word) for word in process.arguments[:1])]
    if any(_WRAPPERS.fullmatch(name) for name in names):
        words = [word for word in process.arguments[1:] if not word.startswith("-") and " " not in word]
        names += [program(word) for word in words[:8]]
    return [name for name in names if name]


def sightings(scan: Scan, product: Product, also_words: frozenset[str]) -> list[Sighting]:
    """Return every place where `scan` shows `product`; a unit that is masked and not running is none."""
    return [
        *(Sighting("package", name) for name in sorted(scan.packages) if matches(name, product.packages)),
        *_units(scan, product),
        *_processes(scan, product),
        *(Sighting("path", path) for path in scan.paths if _is_path_of(path, product)),
        *(Sighting("path", path) for path in scan.files if matches(path.rsplit("/", 1)[-1], product.files)),
        *(
            Sighting("launch", f"{file}: {line.strip()}")
            for file, line in scan.launches
            if _starts(line, product, also_words)
        ),
        *(
            Sighting("listener", f"{port} {scan.listeners[port]}")
            for port in product.convicting_ports
            if port in scan.listeners
        ),
    ]


def hints(scan: Scan, product: Product) -> list[str]:
    """Return the product's usual ports at which something listens for other hosts, to show beside a finding."""
    return [f"{port} {scan.listeners[port]}" for port in product.ports if port in scan.listeners]


def _units(scan: Scan, product: Product) -> Iterator[Sighting]:
    for name in sorted({*scan.units, *scan.active}):
        file = scan.units.get(name, "without a file")
        running = name in scan.active
        if matches(name, product.units) and (running or file != "masked"):
            yield Sighting("unit", f"{name} {file} {'active' if running else 'inactive'}")


def _processes(scan: Scan, product: Product) -> Iterator[Sighting]:
    for process in scan.processes:
        carried = [text for text in scan.signatures.get(process.pid, ()) if text in product.signatures]
        line = " ".join(process.arguments)
        if any(matches(name, product.images) for name in names_of(process)) or any(
            re.match(rf"(?:\S*/)?(?:{command})", line) for command in product.commands
        ):
            yield Sighting("process", f"{process.pid} {process.executable}")
        elif carried:
            yield Sighting("process", f"{process.pid} {process.executable} carries {carried[0]!r}")


def _is_path_of(path: str, product: Product) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern.replace("~", "/*", 1)) for pattern in product.paths)


@cache
def _launch_pattern(images: tuple[str, ...], words: frozenset[str], commands: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_alternatives(images, words, commands), re.IGNORECASE)


def _starts(line: str, product: Product, also_words: frozenset[str]) -> bool:
    # Of no name a pattern would be made that matches every line.
    if not product.images and not product.commands:
        return False
    return bool(_launch_pattern(tuple(product.images), also_words, tuple(product.commands)).search(line))


def _alternatives(images: Iterable[str], words: frozenset[str], commands: Sequence[str] = ()) -> str:
    """Return an extended regular expression for the part of a line that would start one of `images` or `commands`.

    Python and `grep -E` read it alike: in brackets a doubled backslash is one for either.
    """
    names: dict[bool, list[str]] = {True: [], False: []}
    for image in images:
        names[image in words].append("[^/ ]*".join(_literal(part) for part in image.split("*")))
    before, after = r"(^|[]/\\ =:'\"@|;&(-])", r"($|[]\\ '\"|;&)%])"
    command = r"(^[ \t]*|[/\\=]|(nohup|exec|sudo|setsid|env|root) +)"
    patterns = [
        f"{start}({'|'.join(given)}){after}"
        for start, given in ((before, names[False]), (command, names[True]))
        if given
    ]
    if commands:
        patterns.append(f"{before}({'|'.join(commands)})")
    return "|".join(patterns)


def _literal(text: str) -> str:
    """Escape `text` for a regular expression that both Python and `grep -E` read."""
    return "".join(f"[{sign}]" if sign in ".+()|$" else sign for sign in text)


_MARK = "--8<-- medsec"

# Read-only. Each section begins with the mark and its name. `find` looks at names only; files are opened only below
# the folders that can start something, and program files of running processes are searched for signatures.
_SCRIPT = r"""
export LC_ALL=C
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 90; }
for tool in find ss systemctl ls grep getent; do
  command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 91; }
done
section() { printf '%s %s\n' '@MARK@' "$1"; }
section packages
if command -v dpkg-query > /dev/null; then
  dpkg-query -W -f '${db:Status-Status}\t${Package}\n' || exit 92
elif command -v rpm > /dev/null; then
  rpm -qa --qf 'installed\t%{NAME}\n' || exit 92
else
  echo 'missing: dpkg-query or rpm' >&2; exit 91
fi
section units
# In the order in which systemd takes them. It would tell of them too, at the price of looking up who enables each.
find /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early \
  /etc/systemd/system /etc/systemd/system.attached /run/systemd/system /run/systemd/system.attached /run/systemd/generator \
  /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system /run/systemd/generator.late \
  -maxdepth 1 ! -type d -printf '%p\t%l\n' 2> /dev/null
section active
systemctl list-units --all --plain --no-legend --no-pager || exit 93
homes=$( { getent passwd | cut -d: -f6; find /home -maxdepth 1 -mindepth 1 2> /dev/null; echo /root; } | sort -u |
  while IFS= read -r home; do [ -d "$home" ] && [ "$home" != / ] && printf '%s\n' "$home"; done)
section homes
printf '%s\n' "$homes"
section userunits
printf '%s\n' "$homes" | while IFS= read -r home; do
  find "$home/.config/systemd/user" "$home/.local/share/systemd/user" -maxdepth 1 \( -name '*.*' -a ! -type d \) -printf '%p\t%l\n' 2> /dev/null
done
find /etc/systemd/user /run/systemd/user /usr/local/lib/systemd/user /usr/lib/systemd/user -maxdepth 1 ! -type d -printf '%p\t%l\n' 2> /dev/null
section executables
ls -l /proc/[0-9]*/exe 2> /dev/null | sed -n 's|^.* /proc/\([0-9]*\)/exe -> \(.*\)$|\1\t\2|p'
section arguments
grep -azH '' /proc/[0-9]*/cmdline 2> /dev/null | tr '\n\0' ' \n' | cut -c1-400
section signatures
ls -l /proc/[0-9]*/exe 2> /dev/null | sed -n 's|^.* \(/proc/[0-9]*/exe\) -> \(.*\)$|\2\t\1|p' | sort -t "$(printf '\t')" -k1,1 -u |
  sed 's|^.*\t||' | xargs -r grep -alF @SIGNATURES@ 2> /dev/null | while IFS= read -r image; do
    grep -aoF @SIGNATURES@ -- "$image" 2> /dev/null | sort -u | while IFS= read -r text; do printf '%s\t%s\n' "$image" "$text"; done
  done
section paths
set +f
for path in @GLOBS@; do if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi; done
printf '%s\n' "$homes" | while IFS= read -r home; do
  for path in @HOME_GLOBS@; do if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi; done
done
section files
named() { find "$@" \( @NAMES@ \) @RUNNABLE@ -print 2> /dev/null; }
listed=$(printf '%s\n' "$homes" | grep -vE '^/(home|root)(/|$)')
# Besides the roots, every file system of a local disk but those of the system itself; a share is never entered, a
# folder that is shown a second time (a bind mount) not either.
{
  printf '%s\n' @ROOTS@
  awk '{ for (i = 7; $i != "-"; i++); type = $(i + 1) }
    ($4 == "/" || type == "btrfs") && type ~ /^(ext.|xfs|btrfs|f2fs|zfs|ntfs.*|fuseblk|vfat|exfat|iso9660|udf)$/ && $5 !~ /^\/((boot|efi|etc|usr|var|run|snap)(\/|$)|$)/ {
      gsub(/\\040/, " ", $5); print $5 }' /proc/self/mountinfo
} | sort -u | while IFS= read -r root; do
  grep -qE "^[^ ]+ $root (nfs|cifs|smb|fuse[.])" /proc/mounts && continue
  [ -d "$root" ] && named "$root/" -xdev -maxdepth @DEPTH@ -mindepth 1
done
printf '%s\n' "$listed" | while IFS= read -r home; do
  case $home in /home/* | /var/lib/* | /srv/* | /opt/*)
    named "$home/" -xdev -maxdepth 3 -mindepth 1 ;;
  esac
done
named /usr/bin /usr/sbin /bin /sbin /usr/games /snap/bin /var/lib/snapd/snaps /usr/share/applications /usr/local/share/applications /etc/xdg/autostart \
  -maxdepth 1 -mindepth 1
section launches
{
  find /etc/systemd/system /run/systemd/system /usr/local/lib/systemd /etc/systemd/user -follow -type f -print 2> /dev/null
  find /usr/lib/systemd/system /lib/systemd/system /usr/lib/systemd/user -maxdepth 2 -type f -print 2> /dev/null
  find /etc/crontab /etc/anacrontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly \
    /var/spool/cron /var/spool/at /etc/rc.local /etc/rc.d /etc/init.d /etc/init /etc/inittab /etc/inetd.conf /etc/xinetd.d \
    /etc/profile /etc/profile.d /etc/bash.bashrc /etc/X11/Xsession.d /etc/X11/xinit /etc/X11/xdm /etc/lightdm /etc/gdm3 \
    /etc/sddm.conf.d /etc/NetworkManager/dispatcher.d /etc/network/if-up.d /etc/ld.so.preload /etc/xdg/autostart \
    /etc/xdg/openbox /etc/xdg/lxsession /usr/share/applications /usr/local/share/applications /usr/share/gnome/autostart \
    -type f -size -512k -print 2> /dev/null
  printf '%s\n' "$homes" | while IFS= read -r home; do
    find "$home/.config/autostart" "$home/.config/autostart-scripts" "$home/.config/plasma-workspace" "$home/.config/openbox" \
      "$home/.config/lxsession" "$home/.config/i3" "$home/.config/sway" "$home/.config/systemd/user" "$home/.local/share/systemd/user" \
      "$home/.local/share/applications" "$home/Desktop" "$home/桌面" "$home/.xprofile" "$home/.xsession" "$home/.xsessionrc" \
      "$home/.xinitrc" "$home/.profile" "$home/.bash_profile" "$home/.bash_login" "$home/.bashrc" "$home/.zshrc" "$home/.zprofile" \
      "$home/.ssh/rc" -follow -maxdepth 2 -type f -size -512k -print 2> /dev/null
  done
} | sort -u | tr '\n' '\0' | xargs -0 -r grep -HiE @LAUNCH@ 2> /dev/null | cut -c1-400
section listeners
ss -H -lntup || exit 94
section end
"""


def scan(host: Host, catalogue: Catalogue, roots: Sequence[str], depth: int) -> Scan:
    """Look everywhere on `host` where a product of `catalogue` could show itself, in one command.

    `roots` are the folders searched for portable copies, `depth` how many levels down. Raises ProbeError when a tool
    or the privilege is missing, or the answer is not whole.
    """
    answer = host.run(script(catalogue, roots, depth))
    parts = sections(answer.stdout)
    if answer.rc != 0 or "end" not in parts:
        problem = answer.stderr.strip() or f"exit code {answer.rc}"
        raise ProbeError(
            says(
                en=f"the search for software did not finish: {problem}",
                zh=f"软件排查未能完成：{problem}",
            )
        )
    return parse(parts)


def script(catalogue: Catalogue, roots: Sequence[str], depth: int) -> str:
    """Return the shell script that looks for `catalogue` on a host."""
    paths = sorted({path for product in catalogue.products for path in product.paths})
    names = sorted({name for product in catalogue.products for name in product.files})
    images = sorted({image for product in catalogue.products for image in product.images})
    commands = [command for product in catalogue.products for command in product.commands]
    texts = sorted({text for product in catalogue.products for text in product.signatures})
    values = {
        "@MARK@": _MARK,
        "@SIGNATURES@": " ".join(f"-e {shlex.quote(text)}" for text in texts) or "-f /dev/null",
        "@GLOBS@": " ".join(_shell_glob(path) for path in paths if not path.startswith("~")) or "''",
        "@HOME_GLOBS@": " ".join('"$home"' + _shell_glob(path[1:]) for path in paths if path.startswith("~"))
        or "''",
        "@ROOTS@": " ".join(shlex.quote(root) for root in roots),
        "@DEPTH@": str(depth),
        "@NAMES@": " -o ".join(f"-iname {shlex.quote(name)}" for name in names),
        "@RUNNABLE@": _runnable(catalogue.runnable_suffixes),
        "@LAUNCH@": shlex.quote(_alternatives(images, catalogue.also_words, commands)),
    }
    bare = re.sub(r"(?m)^\s*#.*\n", "", _SCRIPT)
    return re.sub(r"@[A-Z_]+@", lambda match: values[match.group(0)], bare)


def _runnable(suffixes: Iterable[str]) -> str:
    """Return the `find` expression for what can be run or installs what can: a note or a picture of that name is neither."""
    named = " ".join(f"-o -iname {shlex.quote(f'*.{suffix}')}" for suffix in suffixes)
    return rf"\( -type f -o -type l \) \( -perm /111 -o ! -name '*.*' {named} \)"


def _shell_glob(path: str) -> str:
    """Quote `path` but leave its wildcards to the shell."""
    return re.sub(r"[^\w./*@-]", lambda match: "\\" + match.group(0), path)


def sections(output: str) -> dict[str, list[str]]:
    """Return the lines of each section of the script's output, by the section's name."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in output.split("\n"):
        if line.startswith(f"{_MARK} "):
            current = found.setdefault(line.removeprefix(f"{_MARK} ").strip(), [])
        elif line:
            current.append(line)
    return found


def parse(parts: Mapping[str, list[str]]) -> Scan:
    """Return the scan that the script's sections tell. Raises ProbeError where one is empty that cannot be."""
    packages = frozenset(
        name for state, _, name in (line.partition("\t") for line in parts["packages"]) if state not in _GONE
    )
    units = dict(reversed(list(_unit_files(parts["units"], ""))))
    executables = dict(line.split("\t", 1) for line in parts["executables"])
    if not (packages and units and executables):
        raise ProbeError(
            says(
                en="the host names no package, no unit or no process; its answer cannot be trusted",
                zh="主机未返回任何软件包、服务单元或进程，结果不可信",
            )
        )
    homes = set(parts["homes"])
    return Scan(
        packages=packages,
        units=units | dict(_unit_files(parts["userunits"], "user unit ")),
        active=frozenset(_active(parts["active"])),
        processes=tuple(_parse_processes(executables, parts["arguments"])),
        signatures=_parse_signatures(parts["signatures"]),
        paths=tuple(dict.fromkeys(parts["paths"])),
        files=tuple(
            dict.fromkeys(path for line in parts["files"] if (path := re.sub("//+", "/", line)) not in homes)
        ),
        launches=tuple(_parse_launches(parts["launches"])),
        listeners=_parse_listeners(parts["listeners"]),
    )


# States of dpkg that leave no program behind; every other ("half-installed", "unpacked" ...) does.
_GONE = ("not-installed", "config-files")


def _unit_files(lines: Iterable[str], label: str) -> Iterator[tuple[str, str]]:
    """Names of units with their files, from "path, tab, where it links to"; one that links to /dev/null is masked.

    The next boot knows nothing of a mask below /run, which is none for that.
    """
    for line in lines:
        path, _, target = line.partition("\t")
        if target == "/dev/null" and path.startswith("/run/"):
            continue
        yield path.rsplit("/", 1)[-1], "masked" if target == "/dev/null" else f"{label}{path}"


def _active(lines: Iterable[str]) -> Iterator[str]:
    """Names of the units that run, from `systemctl list-units`: UNIT LOAD ACTIVE SUB DESCRIPTION."""
    for line in lines:
        words = line.replace("●", " ").replace("*", " ").split()
        if len(words) >= 3 and words[2] in ("active", "activating", "reloading", "deactivating"):
            yield words[0]


def _parse_processes(executables: Mapping[str, str], lines: Iterable[str]) -> Iterator[Process]:
    arguments: dict[str, list[str]] = {}
    for line in lines:
        found = re.match(r"/proc/(\d+)/cmdline:(.*)", line)
        if found:
            arguments.setdefault(found.group(1), []).append(found.group(2))
    for pid in sorted({*executables, *arguments}, key=int):
        yield Process(int(pid), executables.get(pid, ""), tuple(arguments.get(pid, ())))


def _parse_signatures(lines: Iterable[str]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for line in lines:
        image, _, text = line.partition("\t")
        number = re.fullmatch(r"/proc/(\d+)/exe", image)
        if number:
            found[int(number.group(1))] = (*found.get(int(number.group(1)), ()), text)
    return found


def _parse_launches(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for entry in lines:
        file, _, line = entry.partition(":")
        text = line.strip()
        if text.startswith(("#", ";")):
            continue
        if file.endswith(".desktop") and not text.lower().startswith(("exec", "tryexec")):
            continue
        if "/systemd/" in file and not text.lower().startswith("exec"):
            continue
        yield file, line


def _parse_listeners(lines: Iterable[str]) -> dict[str, str]:
    """What listens for other hosts, by "protocol/port", from `ss -H -lntup`."""
    found: dict[str, str] = {}
    for line in lines:
        words = line.split()
        if len(words) < 5:
            continue
        address, _, port = words[4].rpartition(":")
        if address.strip("[]").startswith("127.") or address.strip("[]") in ("::1", "[::ffff:127.0.0.1]"):
            continue
        user = re.search(r'users:\(\("([^"]+)",pid=(\d+)', line)
        found[f"{words[0]}/{port}"] = f"{user.group(1)} (pid {user.group(2)})" if user else "(no process shown)"
    return found


def found(
    host: Host, catalogue: Catalogue, allowed: Sequence[Mapping[str, Any]], roots: Sequence[str], depth: int
) -> Text | None:
    """Return what of `catalogue` is on `host` though no exception registers it, as messages say it; None when nothing is.

    + allowed: the registered exceptions
    Raises ProbeError when the host could not be searched.
    """
    scanned = scan(host, catalogue, roots, depth)
    registered = {entry["product"] for entry in allowed}
    seen = [
        (product, places)
        for product in catalogue.products
        if product.id not in registered and (places := sightings(scanned, product, catalogue.also_words))
    ]
    return told(scanned, seen) if seen else None


def told(scan: Scan, found: Iterable[tuple[Product, Sequence[Sighting]]]) -> Text:
    """Return what was found, product by product, each with its first six places and where it may listen."""
    english, chinese = [], []
    for product, seen in found:
        shown = [f"{sighting.kind} {sighting.what}" for sighting in seen[:6]]
        more = len(seen) - len(shown)
        ports = hints(scan, product)
        english.append(
            f"{product.name.en}: {'; '.join(shown)}"
            + (f"; and {more} more" if more else "")
            + (f"; listens on {', '.join(ports)}" if ports else "")
        )
        chinese.append(
            f"{product.name.zh}：{'；'.join(_KINDS[s.kind] + ' ' + s.what for s in seen[:6])}"
            + (f"；另有 {more} 处" if more else "")
            + (f"；监听端口 {'、'.join(ports)}" if ports else "")
        )
    return says(en=" | ".join(english), zh="。".join(chinese))


_KINDS = {
    "package": "软件包",
    "unit": "服务单元",
    "process": "进程",
    "path": "文件",
    "launch": "自启动项",
    "listener": "监听端口",
}


def catalogue_problem(allowed: Sequence[Mapping[str, Any]], catalogue: Catalogue) -> str | None:
    """Return what is wrong with the registered exceptions, or None: each names a known product and its approval."""
    known = [product.id for product in catalogue.products]
    for entry in allowed:
        if set(entry) - {"product", "approval", "purpose"} or not {"product", "approval"} <= set(entry):
            return f"{entry!r} must have the keys product and approval (and may have purpose)"
        if entry["product"] not in known:
            return f"product {entry['product']!r} is not one of {', '.join(known)}"
        if not str(entry["approval"]).strip():
            return f"{entry['product']}: approval is empty"
    return None
