"""Whether the kernel of a host could load a module: by name, by the alias of a device, at boot, or already now."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.text import says


@dataclass(frozen=True)
class Image:
    """An initramfs: the drivers of interest it carries, and what its own modprobe would do for each module."""

    path: str
    drivers: tuple[str, ...]
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Loading:
    """All that decides whether some modules can get into the kernel."""

    # Module to what modprobe would do, for the running kernel and each installed one.
    answers: Mapping[tuple[str, str], str]
    # Modules that a device of the wanted kind would ask for by its alias, whatever they are called.
    asked_by_devices: frozenset[str]
    # Modules that a device plugged in at this moment asks for.
    present: frozenset[str]
    loaded: frozenset[str]
    drivers: frozenset[str]
    # Lines of modules.builtin, with the file.
    built_in: tuple[tuple[str, str], ...]
    images: tuple[Image, ...]
    # Lines that load a module past its rule: file and line.
    bypasses: tuple[tuple[str, str], ...]


_MARK = "--8<-- medsec"

# Read-only, but for unpacking each initramfs into a folder of its own that is removed again.
_SCRIPT = r"""
export LC_ALL=C
umask 077
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 90; }
for tool in modprobe find grep; do command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 91; }; done
section() { printf '%s %s\n' '@MARK@' "$1"; }
kernels=$( { [ -d "/lib/modules/$(uname -r)" ] && uname -r; find /lib/modules/ -maxdepth 2 -name modules.dep 2> /dev/null | cut -d/ -f4; } | sort -u)
last() { awk 'NF { line = $0 } END { print line }'; } # the last line that says something
section resolved
resolved=$(for kernel in $kernels; do modprobe -S "$kernel" -a -R @ALIASES@ 2> /dev/null; done | tr - _ | sort -u)
[ -z "$resolved" ] || printf '%s\n' "$resolved"
section present
present=$(cat /sys/bus/usb/devices/*/modalias /sys/bus/firewire/devices/*/modalias 2> /dev/null | sort -u)
# shellcheck disable=SC2086 # one alias a word, without blanks or wildcards
[ -z "$present" ] || modprobe -a -R $present 2> /dev/null | tr - _ | sort -u
section answers
# What /run says is forgotten by the next boot, so where it says anything the other folders are asked by themselves too.
later=$(if ls /run/modprobe.d/*.conf > /dev/null 2>&1; then for folder in /etc /usr/local/lib /usr/lib /lib; do
  if [ -d $folder/modprobe.d ]; then echo "-C $folder/modprobe.d"; fi; done; fi)
for module in $( { printf '%s\n' @MODULES@; printf '%s\n' "$resolved"; } | tr - _ | sort -u); do
  for kernel in ${kernels:-$(uname -r)}; do
    printf '%s\t%s\t%s\n' "$module" "$kernel" "$(modprobe -S "$kernel" -n -v "$module" 2>&1 | last)"
    [ -z "$later" ] || printf '%s\t%s\t%s\n' "$module" "$kernel, after the next boot" "$(modprobe $later -S "$kernel" -n -v "$module" 2>&1 | last)"
  done
done
section loaded
if [ -e /proc/modules ]; then cut -d' ' -f1 /proc/modules; fi
section drivers
find /sys/bus/usb/drivers /sys/bus/firewire/drivers -maxdepth 1 -mindepth 1 -printf '%f\n' 2> /dev/null
section builtin
grep -HE '/(@FILES@)\.ko' /lib/modules/*/modules.builtin 2> /dev/null
section bypasses
grep -rIHE '^[^#]*(insmod|MODPROBE_OPTIONS|modprobe[^#]*[[:space:]](--(ignore-i|c|di)|-[a-zA-Z]*[iCd])).*(@WORDS@)([^[:alnum:]]|$)' \
  /etc /run/udev/rules.d /run/systemd/system /run/modprobe.d /var/spool/cron /usr/local/bin /usr/local/sbin /usr/local/lib/udev \
  /usr/local/lib/systemd /usr/local/lib/modprobe.d /usr/lib/udev/rules.d /usr/lib/systemd/system /usr/lib/modprobe.d 2> /dev/null | cut -c1-300
section images
# Listing an image is cheap, unpacking it is not: that is done only to read the rules of one that carries a driver, and in
# memory where there is plenty of it.
room() { # KIB : a folder that can take them
  if [ -d /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'END { print $4 }')" -gt "$1" ] &&
    [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt $(($1 * 3)) ]; then echo /dev/shm; return; fi
  [ "$(df -Pk /var/tmp | awk 'END { print $4 }')" -gt $(($1 * 2)) ] || { echo "no room in /var/tmp to look into an initramfs" >&2; return 1; }
  echo /var/tmp
}
find /boot -maxdepth 1 \( -name 'initrd.img-*' -o -name 'initrd-*' -o -name 'initramfs-*' \) -type f ! -name '*kdump*' ! -name '*.dpkg-*' ! -name '*.bak' 2> /dev/null |
while IFS= read -r image; do
  printf 'image\t%s\n' "$image"
  if command -v lsinitramfs > /dev/null; then list=lsinitramfs unpack=unmkinitramfs
  elif command -v lsinitrd > /dev/null; then list=lsinitrd unpack=lsinitrd
  else echo "missing: unmkinitramfs or lsinitrd, to look into $image" >&2; exit 91; fi
  names=$("$list" "$image" 2> /dev/null) && [ -n "$names" ] || { echo "cannot read $image" >&2; exit 92; }
  drivers=$(printf '%s\n' "$names" | grep -oE '(@FILES@)[.]ko' | sort -u)
  [ -n "$drivers" ] || continue
  printf '%s\n' "$drivers" | sed 's/^/driver\t/'
  place=$(room $(($(stat -c %s "$image") * 8 / 1024))) || exit 92
  folder=$(mktemp -d -p "$place" medsec.XXXXXXXX) || exit 92
  trap 'rm -rf "$folder"' EXIT
  if [ "$unpack" = unmkinitramfs ]; then unmkinitramfs "$image" "$folder" > /dev/null 2>&1
  else (cd "$folder" && lsinitrd --unpack "$image" > /dev/null 2>&1); fi || { echo "cannot unpack $image" >&2; exit 92; }
  [ -n "$(find "$folder" -mindepth 2 -print -quit)" ] || { echo "$image unpacks to nothing" >&2; exit 92; }
  set -- -C "$folder/none"
  mkdir "$folder/none"
  while IFS= read -r configuration; do set -- "$@" -C "$configuration"; done <<END
$(find "$folder" -type d \( -path '*/etc/modprobe.d' -o -path '*/run/modprobe.d' -o -path '*/lib/modprobe.d' \))
END
  version=$(find "$folder" -path '*/lib/modules/*' -name modules.dep | sed 's|.*/lib/modules/||; s|/.*||' | head -n 1)
  for driver in $drivers; do
    module=${driver%.ko}
    printf 'answer\t%s\t%s\n' "$module" "$(modprobe -S "${version:-$(uname -r)}" "$@" -n -v "$module" 2>&1 | last)"
  done
  rm -rf "$folder"
done || exit
section end
"""


def loading(host: Host, modules: Sequence[str], others: Sequence[str], aliases: Sequence[str]) -> Loading:
    """Return what decides whether `modules`, `others` and whatever answers to `aliases` can get into the kernel.

    Raises ProbeError when modprobe is missing, an initramfs cannot be looked into, or the answer is not whole.
    """
    answer = host.run(script(modules, others, aliases))
    parts = sections(answer.stdout)
    if answer.rc != 0 or "end" not in parts:
        problem = answer.stderr.strip() or f"exit code {answer.rc}"
        raise ProbeError(
            says(
                en=f"what the kernel may load cannot be told: {problem}",
                zh=f"无法判断内核可加载哪些模块：{problem}",
            )
        )
    return parse(parts)


def script(modules: Sequence[str], others: Sequence[str], aliases: Sequence[str]) -> str:
    """Return the shell script that `loading` runs."""
    every = [*modules, *others]
    # A hyphen and an underscore are the same in a module's name; files and lines may have either.
    either = "|".join(re.sub("[-_]", "[-_]", name) for name in every)
    values = {
        "@MARK@": _MARK,
        "@MODULES@": shlex.join(every),
        "@ALIASES@": shlex.join(aliases),
        "@FILES@": either,
        "@WORDS@": either,
    }
    bare = re.sub(r"(?m)^\s*#.*\n", "", _SCRIPT)
    return re.sub(r"@[A-Z_]+@", lambda match: values[match.group(0)], bare)


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


def canonical(module: str) -> str:
    """Return the module's name as the kernel writes it."""
    return module.replace("-", "_")


def parse(parts: Mapping[str, list[str]]) -> Loading:
    """Return what the script's sections tell. Raises ProbeError when modprobe answered nothing."""
    answers = {}
    for line in parts["answers"]:
        module, kernel, text = line.split("\t", 2)
        answers[module, kernel] = text.strip()
    if not answers:
        raise ProbeError(says(en="modprobe answered nothing", zh="modprobe 未返回任何结果"))
    return Loading(
        answers=answers,
        asked_by_devices=frozenset(parts["resolved"]),
        present=frozenset(parts["present"]),
        loaded=frozenset(parts["loaded"]),
        drivers=frozenset(canonical(name) for name in parts["drivers"]),
        built_in=tuple(_pairs(parts["builtin"])),
        images=tuple(_images(parts["images"])),
        bypasses=tuple(
            (file, line) for file, line in _pairs(parts["bypasses"]) if not line.lstrip().startswith("#")
        ),
    )


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        file, _, text = line.partition(":")
        yield file, text


def _images(lines: Iterable[str]) -> Iterable[Image]:
    path, drivers, answers = "", list[str](), dict[str, str]()
    for line in [*lines, "image\t"]:
        word, _, rest = line.partition("\t")
        if word == "driver":
            drivers.append(canonical(rest.split(".ko")[0]))
        elif word == "answer":
            module, _, text = rest.partition("\t")
            answers[canonical(module)] = text.strip()
        elif word == "image":
            if path:
                yield Image(path, tuple(drivers), answers)
            path, drivers, answers = rest, [], {}


_REFUSAL = re.compile(r"install (?:/usr)?/s?bin/(?:false|true)")


def refuses(answer: str) -> bool:
    """Return whether the last line that `modprobe -n -v` prints means that the module is never inserted."""
    return bool(_REFUSAL.fullmatch(answer.strip()))
