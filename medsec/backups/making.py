"""Making a backup now, by the very unit that the timer starts, and telling how it went."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from medsec.backups.jobs import Job
from medsec.backups.survey import BackupSet, look, named
from medsec.errors import MedsecError, ProbeError
from medsec.evidence.plain import plain
from medsec.evidence.redaction import redacted
from medsec.inventory import Host
from medsec.judge.recording import ConnectedHost
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.probes.backups import timer
from medsec.text import Text, says

# Seconds between two looks at a backup that runs: soon at first, since a small one is through in a second.
_WAITS = (0.5, 1.0, 2.0)
# $1 the unit. Started as the timer does it: it goes on when whoever started it is gone.
_START = r"""
export LC_ALL=C
systemctl show -p ActiveState -p InvocationID -- "$1" && echo "since=$(date +%s)" && systemctl start --no-block -- "$1"
"""
# $1 the unit, $2 the folder of its sets or nothing.
_LOOK = r"""
export LC_ALL=C
systemctl show -p LoadState -p ActiveState -p Result -p InvocationID -p Job -- "$1"
[ -z "$2" ] || echo "bytes=$(find "$2"/.partial-* -type f -printf '%s\n' 2> /dev/null | awk '{n += $1} END {printf "%.0f", n}')"
"""
# $1 the unit, $2 seconds since 1970.
_SAID = 'journalctl --sync; journalctl -q --no-pager -o cat -n 20 --since "@$2" _SYSTEMD_UNIT="$1"'


@dataclass(frozen=True)
class Made:
    """What became of one backup: the set, or why there is none; seconds by this machine's clock."""

    job: Job
    seconds: float
    set: BackupSet | None = None
    reason: Text | None = None

    @property
    def good(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class Result:
    """What one host made of its jobs, and why it gave no answer to the rest."""

    host: Host
    made: list[Made] = field(default_factory=list)
    problems: list[Text] = field(default_factory=list)


# Called as a backup goes on, from several threads: the job, seconds so far, bytes so far (None where nobody counts).
Listener = Callable[[Job, float, int | None], None]


def make(work: Sequence[Sequence[Job]], on_progress: Listener, forks: int = 10) -> Iterator[Result]:
    """Back up the jobs of each host, one after the other, and yield each host's result as it comes."""
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, min(forks, len(work)))) as pool:
        try:
            for done in as_completed([pool.submit(_on_host, of_host, on_progress, stop) for of_host in work]):
                yield done.result()
        finally:
            stop.set()


def _on_host(of_host: Sequence[Job], on_progress: Listener, stop: threading.Event) -> Result:
    result = Result(of_host[0].host)
    try:
        connection = SshTransport(Limits(connect=10, command=120)).connect(result.host)
        try:
            for job in of_host:
                try:
                    result.made.append(_one(connection, job, on_progress, stop))
                except ProbeError as error:
                    result.problems.append(named(result.host, error))
        finally:
            connection.close()
    except MedsecError as error:
        text = named(result.host, error)
        result.problems.append(
            says(
                en=f"{text.en}; a backup that was begun goes on there: `medsec backup status` tells how it ended",
                zh=f"{text.zh}；已开始的备份会在主机上继续，请稍后用 `medsec backup status` 查看结果",
            )
        )
    return result


def _one(host: ConnectedHost, job: Job, on_progress: Listener, stop: threading.Event) -> Made:
    if job.timer is None:
        return Made(job, 0.0, reason=_unknown(job))
    before = {found.name for found in look(host, job).sets}
    schedule = timer(host, job.timer)
    if schedule.load != "loaded" or schedule.service_load != "loaded":
        return Made(job, 0.0, reason=_not_set_up(job))
    unit = schedule.service
    started = _told(host.run(shlex.join(["sh", "-c", _START, "sh", unit]), once=True))
    running = started.get("ActiveState") in ("activating", "active")
    seconds, now = 0.0, started
    for step in _waits():
        if stop.wait(step):
            raise ProbeError(says(en=f"{unit} was left to itself", zh=f"不再等待 {unit}，备份在主机上继续"))
        seconds += step
        now = _told(host.run(shlex.join(["sh", "-c", _LOOK, "sh", unit, job.home or ""])))
        begun = running or now.get("InvocationID") != started.get("InvocationID")
        # A unit that ended well and that no timer holds is forgotten, its invocation too.
        if now["ActiveState"] in ("inactive", "failed") and (begun or now.get("Job") in (None, "", "0")):
            break
        on_progress(job, seconds, int(now["bytes"]) if now.get("bytes", "").isdigit() else None)
    if now["Result"] != "success":
        return Made(job, seconds, reason=_why(host, unit, started["since"], now["Result"]))
    since = float(started["since"])
    new = [
        found
        for found in look(host, job).sets
        if found.sealed
        or (found.sealed is None and found.bytes and found.taken and found.taken.timestamp() >= since)
        if found.name not in before or found.sealed is None
    ]
    if not new:
        return Made(job, seconds, reason=_why(host, unit, started["since"], None))
    return Made(job, seconds, new[-1])


def _waits() -> Iterator[float]:
    yield from _WAITS
    while True:
        yield _WAITS[-1]


def _told(answer: object) -> dict[str, str]:
    rc, out, err = (getattr(answer, name) for name in ("rc", "stdout", "stderr"))
    told = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if rc != 0 or "ActiveState" not in told:
        said = plain(err).strip()[-300:] or f"exit code {rc}"
        raise ProbeError(
            says(en=f"systemctl does not start the backup: {said}", zh=f"systemctl 无法启动备份：{said}")
        )
    return told


def _unknown(job: Job) -> Text:
    return says(
        en=f"no backup of {job.product} is known; register the job in database_backed_up_daily_jobs",
        zh=f"没有 {job.product} 的备份任务；请在 database_backed_up_daily_jobs 中登记",
    )


def _not_set_up(job: Job) -> Text:
    return says(
        en=f"{job.timer} or its service is not installed; run `medsec apply --control database_backed_up_daily`",
        zh=f"未安装 {job.timer} 或其服务；请执行 `medsec apply --control database_backed_up_daily`",
    )


def _why(host: ConnectedHost, unit: str, since: str, result: str | None) -> Text:
    """Say why there is no backup: what the unit itself said last, patients' data left out."""
    answer = host.run(shlex.join(["sh", "-c", _SAID, "sh", unit, since]))
    lines = [line.strip() for line in redacted(plain(answer.stdout)).splitlines() if line.strip()]
    said = " / ".join(lines[-2:])[-300:]
    if result is None:
        return says(
            en=f"{unit} ended well, but there is no new backup that is whole" + (f": {said}" if said else ""),
            zh=f"{unit} 正常结束，但没有产生完整的新备份" + (f"：{said}" if said else ""),
        )
    return says(en=f"{unit}: {result}: {said or '-'}", zh=f"{unit} 失败（{result}）：{said or '无输出'}")
