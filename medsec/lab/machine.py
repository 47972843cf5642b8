"""What this machine offers the lab, and running its tools."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from medsec.lab.errors import LabError, LabUnavailable
from medsec.text import says

# Run-time notes (small) and what the hosts change (needs a real file system: an overlay cannot lie on every kind).
NOTES = Path("/run/medsec/lab")
DISKS = Path("/var/lib/medsec/lab")
CGROUP = "medsec-lab"
INOTIFY_INSTANCES = 8192

# tool -> Debian package
CONTAINER_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "apt-ftparchive": "apt-utils",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
VM_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
}
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def image_cache() -> Path:
    """Return the folder of the built images: `lab` below MEDSEC_CACHE, or below /var/cache/medsec."""
    return Path(os.environ.get("MEDSEC_CACHE") or "/var/cache/medsec") / "lab"


def environment() -> dict[str, str]:
    """Return the environment for the lab's tools: plain messages, and sbin on the path."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    extra = [folder for folder in _SBIN if folder not in path.split(":")]
    return {**os.environ, "PATH": ":".join([path, *extra]), "LC_ALL": "C.UTF-8"}


def missing_packages(vm: bool = False) -> list[str]:
    """Return the Debian packages whose tools the lab needs and does not find; `vm` adds those of the VM tier."""
    tools = {**CONTAINER_TOOLS, **(VM_TOOLS if vm else {})}
    path = environment()["PATH"]
    return sorted({package for tool, package in tools.items() if shutil.which(tool, path=path) is None})


def require(vm: bool = False) -> None:
    """Make sure that the lab can run here; `vm` asks for the tools of the VM tier as well.

    Raises LabUnavailable saying what to do instead.
    """
    _require_linux()
    if os.geteuid() != 0:
        raise LabUnavailable(
            says(
                en="the lab makes network bridges and mounts and must be run as root; "
                "repeat the command with sudo, or use the Vagrantfile: vagrant up",
                zh="实验环境需要创建网桥和挂载文件系统，必须以 root 身份运行；请用 sudo 重新执行，或改用 Vagrantfile：vagrant up",
            )
        )
    missing = missing_packages(vm)
    if missing:
        raise LabUnavailable(
            says(
                en=f"the lab lacks tools of these packages: {', '.join(missing)}; "
                f"install them: apt-get install {' '.join(missing)} (or use the Vagrantfile: vagrant up)",
                zh=f"实验环境缺少以下软件包提供的工具：{'、'.join(missing)}；"
                f"请安装：apt-get install {' '.join(missing)}（或改用 Vagrantfile：vagrant up）",
            )
        )
    cgroup_folders()


def _require_linux() -> None:
    if platform.system() != "Linux":
        raise LabUnavailable(
            says(
                en=f"the lab boots Linux containers and cannot run on {platform.system()}; "
                "use the Vagrantfile instead: vagrant up",
                zh=f"实验环境需要启动 Linux 容器，无法在 {platform.system()} 上运行；请改用 Vagrantfile：vagrant up",
            )
        )


@cache
def cgroup_folders() -> tuple[Path, ...]:
    """Return where this machine's control groups are mounted: the unified tree first, then systemd's own where it exists.

    Raises LabUnavailable where there is no unified tree.
    """
    _require_linux()
    unified: list[Path] = []
    named: list[Path] = []
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(where))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(Path(where))
    if not unified:
        raise LabUnavailable(
            says(
                en="no cgroup2 file system is mounted, so hosts could not be stopped for certain; "
                "mount one (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified), or use the Vagrantfile: vagrant up",
                zh="未挂载 cgroup2 文件系统，无法保证彻底停止主机；请先挂载"
                "（mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified），或改用 Vagrantfile：vagrant up",
            )
        )
    return (unified[0], *named[:1])


def run(
    command: Sequence[str | Path],
    *,
    text: str | None = None,
    timeout: float | None = None,
    holding: IO[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one of the lab's tools to its end, feeding it `text`; `timeout` in seconds.

    The tool keeps the lock `holding` even where this process is killed before it ends. Raises LabError with what it said where it fails.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=text,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(),
        pass_fds=[holding.fileno()] if holding else [],
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(
            says(
                en=f"{' '.join(words)[:200]} failed ({done.returncode}): {said}",
                zh=f"{' '.join(words)[:200]} 执行失败（{done.returncode}）：{said}",
            )
        )
    return done


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[IO[str] | None]:
    """Hold the lock file `path`, shared or alone; without `wait`, yield None where another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as handle:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, mode if wait else mode | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle


def make_room() -> None:
    """Allow this machine enough inotify instances: each host takes about six, and a few dozen exhaust the default of 128."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text(encoding="ascii")) < INOTIFY_INSTANCES:
        limit.write_text(str(INOTIFY_INSTANCES), encoding="ascii")


def process_born(number: int) -> int | None:
    """Return when a process started, in the kernel's own count, or None where there is no such process.

    Number and birth together name a process for ever; the number alone may be given to another.
    """
    try:
        fields = (
            Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
