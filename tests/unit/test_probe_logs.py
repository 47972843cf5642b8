"""The probes of logs against what a Debian 12 host answered, and against what its programs may say as well."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from medsec.errors import ProbeError
from medsec.probes import auditd, faillock, journald, logrotate, rsyslog, scheduled
from medsec.probes.scheduled import Line

CAPTURED = Path(__file__).parent / "captured"


def read(name: str) -> str:
    return (CAPTURED / f"logs_{name}.txt").read_text(encoding="utf-8")


# --- logrotate --------------------------------------------------------------------------------------------------------


def rules() -> dict[str, logrotate.Rule]:
    return {rule.pattern.split()[0]: rule for rule in logrotate.parse_ruling(read("rules")).rules}


def test_a_bare_maxage_holds_for_every_file_read_after_it() -> None:
    assert rules()["/var/log/dpkg.log"].max_age == 30
    assert rules()["/var/log/dpkg.log"].days(1) == 30


def test_a_rule_that_never_removes_and_rotates_early_by_size() -> None:
    rule = rules()["/var/log/auth.log"]
    assert (rule.keeps, rule.earlier, rule.every) == (None, True, "after 1 days")


def test_what_logrotate_rejects_is_told() -> None:
    complaints = logrotate.parse_ruling(read("rules")).complaints
    assert "rsyslog:1 duplicate log entry for /var/log/auth.log" in complaints
    assert "Ignoring wtmp because it is writable by group or others." in complaints


NEWER = """
reading config file /etc/x.conf

Handling 4 logs

rotating pattern: /var/log/a1 hourly empty log files are rotated, old logs are kept forever
considering log /var/log/a1

rotating pattern: /var/log/a2 10240 bytes empty log files are rotated, old logs mailed to root, no old logs will be kept
considering log /var/log/a2

rotating pattern: /var/log/a3
/var/log/a4 weekly empty log files are not rotated, log files >= 10240 are rotated earlier, (3 rotations), old logs are removed
considering log /var/log/a3

==== file /etc/x.conf
/var/log/a1 {
 rotate -1
}
/var/log/a2 {
}
/var/log/a3
/var/log/a4 {
}

==== end
"""


def test_the_words_of_logrotate_since_3_22() -> None:
    found = logrotate.parse_ruling(NEWER).rules
    assert [(rule.pattern, rule.keeps, rule.earlier) for rule in found] == [
        ("/var/log/a1", None, False),
        ("/var/log/a2", 0, False),
        ("/var/log/a3 /var/log/a4", 3, True),
    ]


@pytest.mark.parametrize("words", ["(3 rotations), ", "empty log files are not rotated, "])
def test_words_that_nobody_knows_are_an_error(words: str) -> None:
    with pytest.raises(ProbeError):
        logrotate.parse_ruling(NEWER.replace("rotate -1", "rotate 9").replace(words, ""))


def test_a_rule_missing_from_the_texts_is_an_error() -> None:
    with pytest.raises(ProbeError):
        logrotate.parse_ruling(read("rules").replace("/var/log/btmp {", "/var/log/other {"))


def test_the_scripts_of_rules_are_read() -> None:
    assert any("rsyslog-rotate" in line.text for line in logrotate.parse_ruling(read("rules")).scripts)


@pytest.mark.parametrize(
    ("rule", "interval", "days"),
    [
        (logrotate.Rule("x", "weekly", 28), 1, 196),
        (logrotate.Rule("x", "weekly", 27), 1, 189),
        (logrotate.Rule("x", "monthly", 6), 1, 181),
        (logrotate.Rule("x", "monthly", 7), 1, 212),
        (logrotate.Rule("x", "yearly", 1), 1, 365),
        (logrotate.Rule("x", "after 1 days", 190), 1, 190),
        (logrotate.Rule("x", "hourly", 190), 1, 190),
        (logrotate.Rule("x", "hourly", 190), 1 / 24, 190 / 24),
        (logrotate.Rule("x", "1048576 bytes", 200), 1, 200),
        (logrotate.Rule("x", "1048576 bytes", 200), 1 / 24, 200 / 24),
        (logrotate.Rule("x", "monthly", 12, earlier=True), 1, 12),
        (logrotate.Rule("x", "monthly", 0), 1, 0),
        (logrotate.Rule("x", "monthly", None), 1, math.inf),
        (logrotate.Rule("x", "monthly", None, max_age=30), 1, 30),
        (logrotate.Rule("x", "monthly", 12, max_age=400), 1, 365),
    ],
)
def test_how_long_a_rule_keeps_at_the_very_least(rule: logrotate.Rule, interval: float, days: float) -> None:
    assert rule.days(interval) == pytest.approx(days)


def test_a_forced_run_ignores_the_period() -> None:
    assert logrotate.Rule("x", "weekly", 40).days(1 / 24, forced=True) == pytest.approx(40 / 24)


def test_an_unknown_period_is_an_error() -> None:
    with pytest.raises(ProbeError):
        logrotate.Rule("x", "each full moon", 3).days(1)


def test_the_timer_starts_logrotate_once_a_day() -> None:
    found = logrotate.parse_starters(read("starters"))
    assert found.installed and found.timer_set and found.overdue_hours is None
    lines = scheduled.parse_lines(read("scheduled"))
    assert logrotate.starts(found, lines) == [logrotate.Start("logrotate.timer", ("/etc/logrotate.conf",), 1)]


def test_a_timer_of_each_hour_and_a_service_that_does_something_else() -> None:
    text = read("starters")
    hourly = logrotate.parse_starters(text.replace("*-*-* 00:00:00", "*-*-* *:00:00"))
    assert logrotate.starts(hourly, [])[0].interval == pytest.approx(1 / 24)
    other = logrotate.parse_starters(
        text.replace("argv[]=/usr/sbin/logrotate /etc/logrotate.conf", "argv[]=/bin/true")
    )
    assert logrotate.starts(other, []) == []


@pytest.mark.parametrize("state", ["disabled", "masked", "enabled-runtime", ""])
def test_a_timer_that_is_not_enabled_is_not_set(state: str) -> None:
    found = logrotate.parse_starters(read("starters").replace("UnitFileState=enabled", f"UnitFileState={state}"))
    assert not found.timer_set


def test_logrotate_that_has_not_run_although_its_timer_waits() -> None:
    text = read("starters").replace("WaitingHours=0", "WaitingHours=100")
    assert logrotate.parse_starters(text).overdue_hours == 100
    assert logrotate.parse_starters(text + "LastRunHours=20\n").overdue_hours is None
    assert logrotate.parse_starters(text + "LastRunHours=72\n").overdue_hours == 72


@pytest.mark.parametrize(
    ("path", "text", "interval", "forced"),
    [
        ("/etc/cron.d/x", "20 3 * * * root /usr/sbin/logrotate /etc/x.conf", 1, False),
        ("/etc/cron.d/x", "*/5 * * * * root logrotate --force -s /run/s /etc/x.conf", 1 / 1440, True),
        ("/etc/cron.weekly/x", "logrotate -vf /etc/x.conf > /dev/null", 7, True),
        ("/var/spool/cron/crontabs/root", "@daily cd / && logrotate /etc/x.conf", 1, False),
    ],
)
def test_cron_starts_logrotate(path: str, text: str, interval: float, forced: bool) -> None:
    found = logrotate.parse_starters(read("starters"))
    start = logrotate.starts(found, [Line(path, 1, text)])[-1]
    assert (start.configs, start.forced) == (("/etc/x.conf",), forced)
    assert start.interval == pytest.approx(interval)


# --- journald ---------------------------------------------------------------------------------------------------------


def journal(settings: str = "", **changes: str) -> journald.Journal:
    text = read("journald").replace("[Journal]\n", f"[Journal]\n{settings}\n")
    for old, new in changes.items():
        text = text.replace(f"\n{old} ", f"\n{new} ")
    return next(iter(journald.parse_journals(text)))


def test_a_journal_as_debian_ships_it() -> None:
    found = journal()
    assert found.name == "system" and found.running and found.persistent and found.on_disk
    assert found.max_retention_days is None and found.stored_levels is None and not found.unread
    assert found.room == 4 * 1024**3


def test_the_last_assignment_counts_and_an_empty_one_takes_back() -> None:
    assert journal("Storage=persistent\n[Other]\nStorage=x\n[Journal]\nStorage=volatile").storage == "volatile"
    assert not journal("Storage=volatile").persistent
    assert journal("Storage=volatile\nStorage=").storage == "auto"
    assert journal("#Storage=none\n;Storage=none").storage == "auto"


def test_auto_without_the_folder_is_not_persistent() -> None:
    assert not journal(folder="other").persistent
    assert journal("Storage=persistent", folder="other").persistent


def test_a_daemon_that_writes_to_memory_or_to_a_deleted_file_is_not_on_disk() -> None:
    text = read("journald")
    for broken in (text.replace("open /var/log", "open /run/log"), text.replace("open ", "opened ")):
        assert not next(iter(journald.parse_journals(broken))).on_disk
    assert not next(iter(journald.parse_journals(text.replace("type overlayfs", "type tmpfs")))).on_disk


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("6month", 182.625),
        ("190day", 190),
        ("1w 2d", 9),
        ("604800", 7),
        ("0", None),
        ("infinity", None),
        ("1y", 365.25),
    ],
)
def test_age_limits(text: str, days: float | None) -> None:
    assert journal(f"MaxRetentionSec={text}").max_retention_days == (None if days is None else pytest.approx(days))


def test_few_short_files_are_a_limit_too() -> None:
    assert journal("SystemMaxFiles=10\nMaxFileSec=2day").max_file_days == pytest.approx(20)
    assert journal("SystemMaxFiles=0\nMaxFileSec=2day").max_file_days is None
    assert journal("SystemMaxFiles=10\nMaxFileSec=0").max_file_days is None


def test_room_is_limited_by_its_own_size_and_by_what_must_stay_free() -> None:
    assert journal("SystemMaxUse=64M").room == 64 * 1024**2
    assert journal("SystemKeepFree=900G").room == 0


def test_its_own_pace_tells_what_it_needs() -> None:
    facts = dict(journal().facts) | {"now": "1000000", "oldest": str(1000000 - 10 * 86400), "used": "1000"}
    assert journald.Journal("x", facts, {}).needs(190) == 19000
    assert journal().needs(190) is None


@pytest.mark.parametrize(
    ("level", "drops"), [("debug", False), ("info", False), ("6", False), ("notice", True), ("3", True)]
)
def test_levels_that_are_not_stored(level: str, drops: bool) -> None:
    assert bool(journal(f"MaxLevelStore={level}").stored_levels) is drops


def test_settings_changed_after_the_start_are_unread() -> None:
    text = read("journald").replace("changed 1795326467", "changed 1795339999")
    assert next(iter(journald.parse_journals(text))).unread == ["/etc/systemd/journald.conf"]


@pytest.mark.parametrize("text", ["", "soon", "5 fortnights", "3d!"])
def test_spans_that_do_not_parse(text: str) -> None:
    with pytest.raises(ProbeError):
        journald.timespan(text)


@pytest.mark.parametrize(("text", "size"), [("1024", 1024), ("1K", 1024), ("1.5G", 3 * 512 * 1024**2)])
def test_sizes(text: str, size: int) -> None:
    assert journald.size(text) == size


MOVED = NEWER.replace("earlier, (3 rotations)", "earlier, olddir is /run/old, (30 rotations)")


def test_rotated_files_that_are_put_into_memory_are_not_kept() -> None:
    rule = logrotate.parse_ruling(MOVED).rules[2]
    assert (rule.folder, rule.days(1)) == ("/run/old", 0)
    assert "olddir /run/old" in str(rule)


def test_a_program_in_the_place_of_gzip_is_told() -> None:
    text = NEWER.replace("rotate -1", "rotate -1\n compresscmd /bin/true")
    assert logrotate.parse_ruling(text).compressors == ("/bin/true",)
    assert logrotate.parse_ruling(text.replace("true", "xz")).compressors == ()


def journal_of(*settings: str, **facts: str) -> journald.Journal:
    (found,) = journald.parse_journals(
        read("journald").partition("---- settings")[0] + "---- settings\n[Journal]\n" + "\n".join(settings)
    )
    return journald.Journal(found.name, {**found.facts, **facts}, found.settings, found.open_files, found.changed)


def test_small_files_and_few_of_them_hold_little() -> None:
    disk = "4096 100000000 90000000"
    assert journal_of("SystemMaxUse=4G", "SystemMaxFileSize=1M", disk=disk).room == 100 * 1024**2
    assert journal_of("SystemMaxUse=4G", "SystemMaxFiles=7", disk=disk).room == 7 * 128 * 1024**2
    assert journal_of("SystemMaxUse=4G", "SystemMaxFiles=0", "SystemMaxFileSize=1M", disk=disk).room == 4 * 1024**3
    assert journal_of("SystemMaxUse=4G", disk=disk).room == 4 * 1024**3


def test_what_changed_in_the_second_of_the_start() -> None:
    def unread(said: str) -> list[str]:
        found = journal_of(started="1000", said=said)
        return journald.Journal("system", found.facts, {}, (), {"/etc/x": 1000.9}).unread

    assert unread("1000.4") == ["/etc/x"]
    assert unread("1000.95") == unread("") == unread("7.5") == []


# --- scheduled jobs ---------------------------------------------------------------------------------------------------


def test_a_plain_debian_deletes_nothing() -> None:
    lines = scheduled.parse_lines(read("scheduled"))
    assert len(lines) > 10
    assert not [line for line in lines if scheduled.deletes_logs(line, 190)]


@pytest.mark.parametrize(
    "text",
    [
        "journalctl --vacuum-size=100M",
        "@daily /usr/bin/journalctl --rotate --vacuum-time=4weeks",
        'find /var/log -name "*.gz" -mtime +30 -delete',
        "find /var/log/ -type f -exec rm -f {} +",
        "find /var/log -mtime +30 | xargs rm -f",
        "rm -rf /var/log/*.gz",
        "0 3 * * 0 root > /var/log/auth.log",
        "cat /dev/null > /var/log/syslog",
        "truncate -s 0 /var/log/wtmp",
        "cp /dev/null /var/log/btmp",
        "tmpfiles d /var/log/apt 0755 root root 30d",
        "tmpfiles R /var/log/site",
        "tmpfiles D /var/log/site 0755 root root -",
    ],
)
def test_jobs_that_delete(text: str) -> None:
    assert scheduled.deletes_logs(Line("/etc/cron.d/x", 1, text), 190)


@pytest.mark.parametrize(
    "text",
    [
        "find /var/log -mtime +400 -delete",
        "journalctl --vacuum-time=200d",
        "5 4 * * * root /usr/local/bin/report > /var/log/report.log 2>&1",
        "/usr/local/bin/rm-locks >> /var/log/rm-locks.log",
        "grep -c sshd /var/log/auth.log",
        ": # put out of use by medsec, it deletes logs: rm -f /var/log/x",
        "tmpfiles d /var/log/apt 0755 root root 365d",
        "tmpfiles z /var/log/journal 2755 root systemd-journal - -",
    ],
)
def test_jobs_that_do_not_delete(text: str) -> None:
    assert not scheduled.deletes_logs(Line("/etc/cron.d/x", 1, text), 190)


def in_file(*texts: str) -> list[Line]:
    return scheduled.parse_lines("\n".join(f"/data/scripts/tidy:{n}:{text}" for n, text in enumerate(texts, 1)))


@pytest.mark.parametrize(
    "texts",
    [
        ("LOGDIR=/var/log", "DAYS=30", 'find "$LOGDIR" -name "*.gz" -mtime +$DAYS -delete'),
        ("export KEEP='/var/log/nginx'", "rm -f ${KEEP}/*.gz"),
        ("dir=${1:-/var/log}", "find $dir -type f -mtime +7 | xargs rm -f"),
        ("for d in /var/log /var/log/apt; do", "find $d -mtime +7 -exec rm {} \\;", "done"),
        ("cd /var/log && rm -f *.gz",),
        ("cd /var/log || exit 1", "find . -mtime +7 -delete"),
        ("cd /var/log", "find -mtime +7 -delete"),
        ("cd /var/log/nginx; ls -t | tail -n +8 | xargs rm -f",),
        ("cd /var/log", "> messages"),
        ("ls /var/log/*.gz | xargs rm -f",),
        ("WorkingDirectory=/var/log", "ExecStart=/bin/sh -c 'rm -f *.1'"),
        ("dd if=/dev/null of=/var/log/syslog",),
        ("ln -sf /dev/null /var/log/auth.log",),
        ("mv /var/log/auth.log.1 /tmp",),
        ("find /var/log -name '*.log' -exec sh -c '> {}' \\;",),
    ],
)
def test_what_a_script_deletes_by_its_variables_and_folders(texts: tuple[str, ...]) -> None:
    assert [line.number for line in in_file(*texts) if scheduled.deletes_logs(line, 190)]


@pytest.mark.parametrize(
    "texts",
    [
        ("LOGDIR=/var/log", "DAYS=400", 'find "$LOGDIR" -name "*.gz" -mtime +$DAYS -delete'),
        ("cd /var/log && gzip -9 old.log", "cd /tmp && rm -f *.gz"),
        ("TMP=$(mktemp)", "grep sshd /var/log/auth.log > $TMP", "rm -f $TMP"),
        ("cd /var/log", "find . -name '*.log' -mtime +7 -exec gzip {} \\; > /dev/null 2>&1"),
        ("cp -a /var/log/auth.log /srv/archive/",),
    ],
)
def test_what_a_script_leaves_alone(texts: tuple[str, ...]) -> None:
    assert not [str(line) for line in in_file(*texts) if scheduled.deletes_logs(line, 190)]


@pytest.mark.parametrize(
    ("text", "deletes"),
    [
        ("tmpfiles e /var/log/apt - - - 1w3d", True),
        ("tmpfiles e %L/apt - - - 30d", True),
        ("tmpfiles e /var/log/apt - - - 1y2w", False),
    ],
)
def test_ages_of_tmpfiles(text: str, deletes: bool) -> None:
    assert scheduled.deletes_logs(Line("/etc/tmpfiles.d/x", 0, text), 190) is deletes


@pytest.mark.parametrize(
    "text",
    [
        "*/10 * * * * root ntpdate -u pool.ntp.org > /dev/null",
        "0 * * * * root /usr/sbin/chronyd -q 'server 1.2.3.4 iburst'",
        "ExecStart=/usr/sbin/ntpd -gq",
        "@reboot root busybox ntpd -q -n -p time.example",
        "0 1 * * * root hwclock --hctosys",
        'date -s "$(curl -sI http://203.0.113.1 | grep -i ^date)"',
        "date -u --set=12:00",
        "timedatectl set-time 12:00",
    ],
)
def test_jobs_that_set_the_clock(text: str) -> None:
    (line,) = in_file(text)
    assert scheduled.sets_clock(line)


@pytest.mark.parametrize(
    "text",
    [
        "echo $(date +%s) >> /var/log/site.log",
        "hwclock --systohc",
        "chronyc -n sources",
        "DAY=$(date -d yesterday +%F)",
        "systemctl status chrony",
        "[ -x /usr/sbin/chronyd ] || exit 0",
        "command -v ntpdate > /dev/null || exit 0",
    ],
)
def test_jobs_that_leave_the_clock_alone(text: str) -> None:
    (line,) = in_file(text)
    assert not scheduled.sets_clock(line)


def test_the_units_of_time_services_are_judged_for_themselves() -> None:
    for path in ("chrony.service", "multi-user.target.wants/chronyd.service", "chrony.service.d/site.conf"):
        assert not scheduled.sets_clock(Line(f"/etc/systemd/system/{path}", 1, "ExecStart=/usr/sbin/chronyd -F 1"))
    assert scheduled.sets_clock(Line("/etc/systemd/system/site.service", 1, "ExecStart=/usr/sbin/chronyd -n"))


@pytest.mark.parametrize(
    "texts",
    [
        ("*/5 * * * * root faillock --user admin --reset",),
        ("*/5 * * * * root rm -f /run/faillock/*",),
        ("T=/var/lib/tally", "find $T -type f -delete"),
        ("*/5 * * * * root : > /run/faillock/root",),
    ],
)
def test_jobs_that_take_locks_back(texts: tuple[str, ...]) -> None:
    assert faillock.resets(in_file(*texts), ["/run/faillock", "/var/lib/tally"])
    assert not faillock.resets(in_file("faillock --user admin", "ls /run/faillock"), ["/run/faillock"])


# --- rsyslog ----------------------------------------------------------------------------------------------------------


def test_rsyslog_that_writes() -> None:
    state = rsyslog.parse(read("rsyslog"))
    assert state.installed and state.active and state.enabled
    assert state.lost("auth") is None and state.lost("system") is None


def test_a_record_that_no_file_has() -> None:
    state = rsyslog.parse(read("rsyslog").replace("auth=/var/log/auth.log", "auth=lost"))
    assert "Connection reset" in str(state.lost("auth"))


def test_rsyslog_that_is_off_or_absent() -> None:
    assert not rsyslog.parse(read("rsyslog").replace("=enabled", "=disabled")).enabled
    assert not rsyslog.parse(read("rsyslog").replace("=active", "=inactive")).active
    assert not rsyslog.parse("installed=no\n==== end\n").installed


def test_a_journal_without_logins_proves_nothing() -> None:
    rsyslog.parse(read("rsyslog")).require_proof()
    rsyslog.parse("installed=no\n").require_proof()
    with pytest.raises(ProbeError):
        rsyslog.parse(read("rsyslog").replace("auth=/var/log/auth.log", "auth=none")).require_proof()


# --- auditd -----------------------------------------------------------------------------------------------------------

AUDITD = """\
MainPID=416
LoadState=loaded
ActiveState=active
UnitFileState=enabled
now=1795393350
told=1795393307
config=/etc/audit/auditd.conf
changed=1795393200
told=1795393341
written=1795393341.2
====
# This file controls the configuration of the audit daemon
log_file = /var/log/audit/audit.log
max_log_file = 8
num_logs = 5
##name = mydomain
Max_Log_File_Action = ROTATE
"""


def audit(*changes: tuple[str, str]) -> auditd.Auditd:
    text = AUDITD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    found = auditd.parse(text)
    assert found is not None
    return found


def test_auditd_as_it_is_shipped() -> None:
    found = audit()
    assert (found.used, found.overwrites, found.number, found.unread) == (True, True, 5, False)
    assert found.oldest == 1795393341.2


@pytest.mark.parametrize(
    "change", [("num_logs = 5", "num_logs = 1"), ("= ROTATE", "= keep_logs"), ("= ROTATE", "= IGNORE")]
)
def test_auditd_that_deletes_nothing(change: tuple[str, str]) -> None:
    assert not audit(change).overwrites


def test_the_last_of_two_settings_counts() -> None:
    assert not audit(("= ROTATE\n", "= ROTATE\nmax_log_file_action=KEEP_LOGS\n")).overwrites


def test_settings_that_auditd_was_never_told() -> None:
    assert audit(("changed=1795393200", "changed=1795393345")).unread
    assert not audit(("changed=1795393200", "changed=1795393340")).unread


def test_auditd_that_boot_starts_and_one_that_nothing_starts() -> None:
    off = ("ActiveState=active", "ActiveState=failed")
    assert audit(off).used
    assert not audit(off, ("UnitFileState=enabled", "UnitFileState=disabled")).used


@pytest.mark.parametrize("text", ["", "LoadState=loaded\nnow=1\n", AUDITD.partition("====")[0]])
def test_half_an_answer_of_auditd_is_none(text: str) -> None:
    with pytest.raises(ProbeError, match="auditd"):
        auditd.parse(text)


def test_no_auditd() -> None:
    assert auditd.parse("LoadState=not-found\nActiveState=inactive\nUnitFileState=\nnow=5\n") is None
