"""The database servers that run on a host: what version each says it is, whether it must be restarted, and what updates wait for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.probes import mariadb, postgresql
from medsec.text import says

# What the programs of database servers are called, and what the ledger calls their products.
_PRODUCTS = {
    "postgres": "postgresql",
    "postmaster": "postgresql",
    "mariadbd": "mariadb",
    "mysqld": "mariadb",
    "mysql": "mysql",
    "oracle": "oracle",
    "sqlservr": "sqlserver",
    "dmserver": "dm8",
    "kingbase": "kingbasees",
}


@dataclass(frozen=True)
class Process:
    """A server's process. `package` owns its program ("" where none does), in the version that is installed now."""

    pid: int
    product: str
    program: str
    # The program on the disk is another file than the one that runs.
    replaced: bool
    package: str
    installed: str
    # Libraries that it runs with and that are no longer on the disk.
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class PackageList:
    """A list of packages that the host keeps of a source: when it was made (Unix seconds), by whom, how many of the packages asked for it has."""

    made: int
    offers: int
    origin: str


@dataclass(frozen=True)
class Updates:
    """What the host's own lists of packages say of the servers' packages."""

    # Package, installed version, newest version offered, whatever is held back or pinned.
    waiting: tuple[tuple[str, str, str], ...] = ()
    lists: tuple[PackageList, ...] = ()
    # Sources of which there is no list.
    missing: tuple[str, ...] = ()

    def made(self) -> int | None:
        """Return when the newest list was made among those of the servers' own sources; None where no source has their packages.

        A fresh list of somebody else's says nothing of them.
        """
        own = {one.origin for one in self.lists if one.offers}
        return max((one.made for one in self.lists if one.origin in own), default=None)


@dataclass(frozen=True)
class Asked:
    """A server that was asked: `version` is what it says itself."""

    process: Process
    name: str
    version: str


@dataclass(frozen=True)
class Found:
    """All database servers that run on a host; `untold` are those that cannot be asked."""

    asked: tuple[Asked, ...]
    untold: tuple[Process, ...]
    updates: Updates = field(default_factory=Updates)


# Pins and a default release are left aside: what the sources offer waits, whoever holds it back. No cache is written.
_SCRIPT = r"""export LC_ALL=C
[ "$(id -u)" = 0 ] || { echo 'not root' >&2; exit 90; }
need() { for tool; do command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 91; }; done; }
need readlink grep awk sed sort stat tr
if command -v dpkg-query > /dev/null; then family=apt; need apt-get apt-cache; else family=dnf; need rpm dnf; fi
found=
for link in /proc/[0-9]*/exe; do
  exe=$(readlink "$link" 2> /dev/null) || continue
  program=${exe% (deleted)}; name=${program##*/}
  case $name in @NAMES@) ;; *) continue ;; esac
  pid=${link#/proc/}; pid=${pid%/exe}
  grep -q medsec-drill- "/proc/$pid/cgroup" && continue
  parent=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status" 2> /dev/null) || continue
  [ "$(readlink "/proc/$parent/exe" 2> /dev/null)" != "$exe" ] || continue
  [ "$name" != mysqld ] || grep -qam1 MariaDB "$link" || name=mysql
  state=same; [ "$link" -ef "$program" ] || state=replaced
  libraries=$(sed -n 's/.* \(\/[^ ]*\.so[^ ]*\) (deleted)$/\1/p' "/proc/$pid/maps" | sort -u | tr '\n' ' ')
  if [ $family = apt ]; then
    package=$(dpkg-query -S "$program" 2> /dev/null | awk -F '[:,]' '!/^diversion/ { print $1; exit }')
    [ -z "$package" ] || installed=$(dpkg-query -Wf '${Version}\n' "$package" | sed 1q)
  else
    package=$(rpm -qf --qf '%{NAME}\n' "$program" 2> /dev/null | sed 1q) || package=
    [ -z "$package" ] || installed=$(rpm -q --qf '%{VERSION}\n' "$package" | sed 1q)
  fi
  [ -n "$package" ] || installed=
  printf 'server\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$pid" "$name" "$program" $state "$package" "$installed" "$libraries"
  [ -z "$package" ] || found="$found $package"
done
if [ -n "$found" ] && [ $family = apt ]; then
  sources=$(dpkg-query -Wf '${source:Package} ' $found) || exit 92
  all=$(dpkg-query -Wf '${db:Status-Abbrev} ${source:Package} ${Package}\n' | awk -v of=" $sources" '/^.i/ && index(of, " " $(NF - 1) " ") { print $NF }' | sort -u)
  told=$(apt-cache -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o APT::Default-Release= \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= policy $all) && lists=$(apt-get indextargets --format '$(FILENAME) $(ORIGIN)' 'Created-By: Packages') &&
    uris=$(apt-get --print-uris update) || exit 92
  printf '%s\n' "$told" | awk '/^[^ ]/ { name = $1 } /^  Installed:/ { has = $2 } /^  Candidate:/ && $2 != has { print "update\t" name "\t" has "\t" $2 }'
  set --
  for package in $all; do set -- "$@" -e "Package: $package"; done
  printf '%s\n' "$lists" | while read -r file origin; do
    [ ! -e "$file" ] || printf 'list\t%s\t%s\t%s\n' "$(stat -L -c %Y "$file")" "$(/usr/lib/apt/apt-helper cat-file "$file" | grep -cxF "$@")" "$origin"
  done
  printf '%s\n' "$uris" | while read -r uri file rest; do
    case $file in *InRelease) ;; *) continue ;; esac
    for list in "/var/lib/apt/lists/${file%InRelease}"*Packages*; do [ -e "$list" ] || printf 'missing\t%s\n' "$uri"; done
  done
elif [ -n "$found" ]; then
  waiting=$(dnf -Cq --disableexcludes=all check-update $found) || [ $? = 100 ] || exit 92
  printf '%s\n' "$waiting" | awk 'NF == 3 { print "update\t" $1 "\t-\t" $2 }'
  for list in /var/cache/dnf/*/repodata/repomd.xml; do [ ! -e "$list" ] || printf 'list\t%s\t1\t\n' "$(stat -c %Y "$list")"; done
fi
echo end
""".replace("@NAMES@", " | ".join(name for name in _PRODUCTS if name != "mysql"))

_VERSION = "section version\necho 'SHOW server_version_num' | ask postgres || exit 94\nsection end\n"


def databases(host: Host) -> Found:
    """Return the database servers that run on `host`; PostgreSQL and MariaDB are asked for their versions.

    Raises ProbeError when a tool is missing, and when one of those two runs and cannot be asked.
    """
    answer = host.run(_SCRIPT)
    if answer.rc != 0 or not answer.stdout.endswith("end\n"):
        said = answer.stderr.strip()[-500:] or "no answer"
        raise ProbeError(
            says(
                en=f"the host cannot tell which database servers run and which updates wait: {said}",
                zh=f"无法查明本机运行的数据库服务及待安装的更新：{said}",
            )
        )
    processes, updates = parse(answer.stdout)
    asked: list[Asked] = []
    if any(process.product == "mariadb" for process in processes):
        servers = {server.pid: server for server in mariadb.servers(host)}
        asked += [
            Asked(
                process,
                f"MariaDB {mariadb_version(servers[pid].value('version'))} ({servers[pid].socket})",
                mariadb_version(servers[pid].value("version")),
            )
            for pid, process in _paired(processes, "mariadb", servers)
        ]
    # PostgreSQL's question depends on an answer and cannot be asked ahead: it comes last.
    if any(process.product == "postgresql" for process in processes):
        told = dict(postgresql.answers(host, _VERSION))
        for pid, process in _paired(processes, "postgresql", told):
            port, data, *_ = told[pid]["about"][0].split("\t")
            version = postgresql_version(told[pid].get("version", []))
            asked.append(Asked(process, f"PostgreSQL {version} (port {port}, {data})", version))
    untold = tuple(process for process in processes if process.product not in ("postgresql", "mariadb"))
    return Found(tuple(asked), untold, updates)


def _paired(
    processes: Sequence[Process], product: str, answers: Mapping[int, object]
) -> list[tuple[int, Process]]:
    """Return the processes of `product`, each of which must have answered; a server may have come or gone meanwhile."""
    found = {process.pid: process for process in processes if process.product == product}
    if found.keys() != answers.keys():
        raise ProbeError(
            says(
                en=f"servers of {product} were started or ended while they were asked, or one runs that gives no answer "
                f"(processes {sorted(found)}, answers of {sorted(answers)}); verify again",
                zh=f"核查期间有 {product} 服务启动或停止，或有服务没有应答（进程 {sorted(found)}，应答 {sorted(answers)}）；请重新核查",
            )
        )
    return sorted(found.items())


def parse(output: str) -> tuple[list[Process], Updates]:
    """Return the servers' processes and their updates, as the script prints them."""
    processes, waiting, lists, missing = [], [], [], []
    for line in output.splitlines():
        kind, *fields = line.split("\t")
        if kind == "server":
            pid, name, program, state, package, installed, libraries = fields
            processes.append(
                Process(
                    int(pid),
                    _PRODUCTS[name],
                    program,
                    state == "replaced",
                    package,
                    installed,
                    tuple(libraries.split()),
                )
            )
        elif kind == "update":
            name, installed, newest = fields
            waiting.append((name.removesuffix(":"), installed, newest))
        elif kind == "list":
            made, offers, origin = fields
            # apt writes the name of a field that a source does not fill in.
            lists.append(PackageList(int(made), int(offers), "" if origin == "$(ORIGIN)" else origin))
        elif kind == "missing":
            missing.append(fields[0].strip("'"))
    return processes, Updates(tuple(waiting), tuple(lists), tuple(sorted(set(missing))))


def postgresql_version(lines: Sequence[str]) -> str:
    """Return the version that `server_version_num` means: 150020 is 15.20, 90624 is 9.6.24. Raises ProbeError for no number."""
    if len(lines) != 1 or not re.fullmatch(r"[0-9]{5,6}", lines[0]):
        raise _unreadable(" ".join(lines))
    number = int(lines[0])
    major, rest = divmod(number, 10000)
    return f"{major}.{rest}" if major >= 10 else f"{major}.{rest // 100}.{rest % 100}"


def mariadb_version(told: str | None) -> str:
    """Return the number in what VERSION() answers, 10.11.19-MariaDB-0+deb12u1 for instance. Raises ProbeError where there is none."""
    found = re.match(r"(?:5\.5\.5-)?([0-9]+\.[0-9]+\.[0-9]+)-", told or "")
    if not found:
        raise _unreadable(told or "")
    return found[1]


def packaged_version(version: str) -> str:
    """Return the maker's version in a package's: 15.20 of 15.20-0+deb12u1, 10.11.19 of 1:10.11.19-0+deb12u1."""
    found = re.match(r"(?:[0-9]+:)?([0-9]+(?:\.[0-9]+)*)", version)
    return found[1] if found else version


def _unreadable(met: str) -> ProbeError:
    return ProbeError(
        says(en=f"the server answers with no version: {met[:80]!r}", zh=f"数据库返回的版本无法识别：{met[:80]!r}")
    )
