"""Asks journald, logrotate, rsyslog and auditd what they really do with records, and looks for jobs that delete them."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import auditd, journald, logrotate, rsyslog, scheduled
from medsec.text import Text, says

MIB = 1024**2
MEMORY = ("tmpfs", "ramfs")


def check(host: Host, params: Params) -> None:
    lines = scheduled.jobs(host)
    starters = logrotate.starters(host)
    problems = [problem for journal in journald.journals(host) for problem in _journal(journal, params)]
    if starters.installed:
        starts = logrotate.starts(starters, lines)
        problems += _rotation(starters, starts)
        # Where nothing starts logrotate now, its rules are judged as the timer would run them.
        for start in starts or [logrotate.Start("logrotate.timer", (logrotate.MAIN,), 1)]:
            problems += _rules(host, start, params.days)
    else:
        problems.append(
            says(
                en="logrotate is not installed: log files grow until the disk is full and nothing more is recorded",
                zh="未安装 logrotate：日志文件无限增长，磁盘写满后将无法继续记录",
            )
        )
    problems += _deleters(lines, params.days)
    writer = rsyslog.rsyslog(host)
    problems += _rsyslog(writer)
    problems += _audit(auditd.auditd(host), params.days)
    if starters.facts["LogDisk"] in MEMORY:
        problems.append(
            says(
                en=f"/var/log is kept in memory ({starters.facts['LogDisk']}): a reboot deletes all logs",
                zh=f"/var/log 位于内存文件系统（{starters.facts['LogDisk']}），重启后日志全部丢失",
            )
        )
    problems = list(dict.fromkeys(problems))
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))
    writer.require_proof()


def _journal(journal: journald.Journal, params: Params) -> Iterator[Text]:
    name, days = journal.name, params.days
    if not journal.running:
        yield says(en=f"journald does not run (journal {name})", zh=f"journald 未运行（日志 {name}）")
    if not journal.persistent:
        folder = "" if journal.storage != "auto" else ", /var/log/journal is missing"
        yield says(
            en=f"the journal {name} is not kept on the disk (Storage={journal.storage}{folder})",
            zh=f"systemd 日志 {name} 未持久化到磁盘（Storage={journal.storage}{'，/var/log/journal 不存在' if folder else ''}）",
        )
    elif journal.running and not journal.on_disk:
        yield says(
            en=f"the running journald writes nothing to the disk below /var/log/journal (journal {name})",
            zh=f"正在运行的 journald 未向磁盘上的 /var/log/journal 写入（日志 {name}）",
        )
    age = journal.max_retention_days
    if age is not None and age < days:
        yield says(
            en=f"the journal {name} is deleted after {age:.4g} days (MaxRetentionSec={journal.settings['MaxRetentionSec']})",
            zh=f"systemd 日志 {name} 满 {age:.4g} 天即被删除（MaxRetentionSec={journal.settings['MaxRetentionSec']}）",
        )
    covered = journal.max_file_days
    if covered is not None and covered < days:
        yield says(
            en=f"the files of the journal {name} cover {covered:.4g} days (SystemMaxFiles x MaxFileSec)",
            zh=f"systemd 日志 {name} 的文件数与时长上限合计仅覆盖 {covered:.4g} 天（SystemMaxFiles × MaxFileSec）",
        )
    if journal.persistent:
        needed = max(params.journal_min_mib * MIB, journal.needs(days) or 0)
        if journal.room < needed:
            yield says(
                en=f"the journal {name} may take {int(journal.room) // MIB} MiB, {days} days need {needed // MIB} MiB "
                "(SystemMaxUse, SystemKeepFree, SystemMaxFiles x SystemMaxFileSize)",
                zh=f"systemd 日志 {name} 最多占用 {int(journal.room) // MIB} MiB，保存 {days} 天需要 {needed // MIB} MiB"
                "（SystemMaxUse、SystemKeepFree、SystemMaxFiles × SystemMaxFileSize）",
            )
    if journal.stored_levels:
        yield says(
            en=f"the journal {name} drops ordinary records (MaxLevelStore={journal.stored_levels})",
            zh=f"systemd 日志 {name} 丢弃一般级别的记录（MaxLevelStore={journal.stored_levels}）",
        )
    if journal.unread:
        yield says(
            en=f"journald has not read its settings since they changed: {', '.join(journal.unread)}",
            zh=f"journald 尚未重新加载已修改的配置：{'、'.join(journal.unread)}",
        )


def _rotation(starters: logrotate.Starters, starts: list[logrotate.Start]) -> Iterator[Text]:
    if not any(logrotate.MAIN in start.configs for start in starts):
        if starters.timer_set:
            ran = "; ".join(" ".join(program) for program in starters.programs) or "-"
            yield says(
                en=f"logrotate.service does not run logrotate with {logrotate.MAIN} but: {ran}",
                zh=f"logrotate.service 未按 {logrotate.MAIN} 执行 logrotate，实际执行：{ran}",
            )
        else:
            yield says(
                en=f"nothing starts logrotate: logrotate.timer is {starters.timer_words}, and no cron job runs it",
                zh=f"没有任何任务启动 logrotate：logrotate.timer 状态为 {starters.timer_words}，也没有相应的 cron 任务",
            )
    elif starters.timer_set and starters.overdue_hours is not None:
        yield says(
            en=f"logrotate has not run for {starters.overdue_hours} hours although its timer is set",
            zh=f"logrotate 定时器已启用，但已有 {starters.overdue_hours} 小时未运行",
        )


def _rules(host: Host, start: logrotate.Start, days: int) -> Iterator[Text]:
    found = logrotate.ruling(host, start.configs)
    if found.complaints:
        yield says(
            en=f"logrotate rejects part of its rules: {'; '.join(found.complaints[:3])}",
            zh=f"logrotate 拒绝了部分轮转规则：{'；'.join(found.complaints[:3])}",
        )
    if not found.rules and not found.complaints and logrotate.MAIN in start.configs:
        yield says(
            en=f"logrotate finds no rule in {' '.join(start.configs)}",
            zh=f"{' '.join(start.configs)} 中没有任何轮转规则",
        )
    for rule in found.rules:
        kept = rule.days(start.interval, start.forced)
        if kept < days:
            forced = (", forced", "，强制轮转") if start.forced else ("", "")
            by = ("", "") if start.by == "logrotate.timer" else (f" by {start.by}", f"，由 {start.by} 启动")
            yield says(
                en=f"{rule.pattern} is kept {kept:.4g} days ({rule}{forced[0]}{by[0]}), {days} are required",
                zh=f"{rule.pattern} 仅保存 {kept:.4g} 天（{rule}{forced[1]}{by[1]}），要求不少于 {days} 天",
            )
    for program in found.compressors:
        yield says(
            en=f"logrotate compresses by {program}, which need not keep what it is given (compresscmd)",
            zh=f"logrotate 以 {program} 压缩日志（compresscmd），不能保证保留原有内容",
        )
    yield from _deleters(found.scripts, days)


def _deleters(lines: list[scheduled.Line] | tuple[scheduled.Line, ...], days: int) -> Iterator[Text]:
    for line in lines:
        if scheduled.deletes_logs(line, days):
            yield says(en=f"a scheduled job deletes logs: {line}", zh=f"计划任务会删除日志：{line}")


def _rsyslog(state: rsyslog.Rsyslog) -> Iterator[Text]:
    if not state.installed:
        return  # the journal keeps everything, and was judged
    if not (state.active and state.enabled):
        yield says(
            en=f"rsyslog is installed, but {state.states}: the log files are not written",
            zh=f"已安装 rsyslog，但其状态为 {state.states}，日志文件不再写入",
        )
        return
    for kind in ("auth", "login", "system"):
        record = state.lost(kind)
        if record:
            yield says(
                en=f"rsyslog writes to no file what the journal has ({kind}): {record}",
                zh=f"systemd 日志中的记录未被 rsyslog 写入任何文件（{kind}）：{record}",
            )
    if "deleted" in state.facts:
        yield says(
            en=f"rsyslog writes to a deleted file: {state.facts['deleted']}",
            zh=f"rsyslog 正在写入已被删除的文件：{state.facts['deleted']}",
        )


def _audit(state: auditd.Auditd | None, days: int) -> Iterator[Text]:
    if state is None or not state.used:
        return
    settings = state.settings
    if settings.get("write_logs") == "no" or settings.get("log_format") == "nolog":
        yield says(en=f"auditd writes no file ({state.config})", zh=f"auditd 不写入任何文件（{state.config}）")
    if settings.get("max_log_file_action") == "suspend":
        yield says(
            en="auditd records nothing more once its file is full (max_log_file_action = SUSPEND)",
            zh="auditd 的日志文件写满后即停止记录（max_log_file_action = SUSPEND）",
        )
    # What it holds now shows the pace, where that is slow enough.
    held = (state.now - state.oldest) / 86400 if state.oldest is not None else 0
    if state.overwrites and held < days:
        size = settings.get("max_log_file", "0")
        yield says(
            en=f"auditd overwrites its records: {state.number} files of {size} MB each "
            f"(max_log_file_action = ROTATE), the oldest of {held:.0f} days ago",
            zh=f"auditd 会覆盖审计记录：只保留 {state.number} 个文件，每个 {size} MB"
            f"（max_log_file_action = ROTATE），最早的文件为 {held:.0f} 天前",
        )
    if state.unread:
        yield says(
            en=f"auditd has not read its settings since they changed: {state.config}",
            zh=f"auditd 尚未重新加载已修改的配置：{state.config}",
        )
