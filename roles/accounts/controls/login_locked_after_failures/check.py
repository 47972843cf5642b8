"""Fails to log in, through PAM, as often as allowed, and then tries the right password; reads the times in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testinfra.host import Host

from medsec.errors import ProbeError, Spared
from medsec.inventory import Params
from medsec.probes import faillock, pam, pam_ways, scheduled, sshd
from medsec.probes.login_attempts import Trial, trials
from medsec.text import says

CLIENT = {"user": "nobody", "host": "client.invalid", "addr": "192.0.2.1", "laddr": "192.0.2.2", "lport": "22"}


def check(host: Host, params: Params) -> None:
    known = pam.services(host)
    stacks = {name: known.stack(name, "auth") for name in known.names()}
    doors = {name: stack for name, stack in stacks.items() if pam_ways.asks_password(stack)}
    assert doors, says(
        en="no PAM service asks for a password: what the lock-out is to protect cannot be told",
        zh="没有任何 PAM 服务验证口令，无法判断登录失败锁定的对象",
    )
    for service, stack in doors.items():
        assert _lines(stack), says(
            en=f"wrong passwords are not counted: no pam_faillock in the auth stack of {service}",
            zh=f"登录失败未计数：{service} 的认证栈中没有 pam_faillock",
        )
    folders = _values_hold(host, doors, params)
    lost = faillock.unusable(host, folders)
    assert not lost, says(
        en=f"failures cannot be counted: {', '.join(lost)} cannot be written to as a folder of counts",
        zh=f"登录失败无法计数：{'、'.join(lost)} 无法作为计数目录写入",
    )
    jobs = faillock.resets(scheduled.jobs(host), folders)
    assert not jobs, says(
        en=f"a scheduled job takes locks back; remove it: {'; '.join(jobs)}",
        zh=f"存在定时解除锁定的任务，请予删除：{'；'.join(jobs)}",
    )
    groups = pam_ways.alike(doors)
    spared = _there(host, [entry["account"] for entry in params.break_glass])
    for trial in trials(host, list(groups), deny=params.deny, tallies=folders, spared=spared):
        (_lets_in if trial.account in spared else _locks)(trial, params.deny, groups[trial.service])
    for service, stack in doors.items():
        bypass = pam_ways.lock_bypass(stack, spared)
        what = ("does not count every wrong password", "存在不计入失败次数的路径")
        if bypass and bypass.kind == "unasked":
            what = ("can let a locked account in", "存在放行已锁定账户的路径")
        assert bypass is None, says(
            en=f"{service} {what[0]}: {bypass.end}", zh=f"{service} {what[1]}：{bypass.end}"
        )
    _sshd_asks_pam(host)
    if spared:
        names = ", ".join(spared)
        raise Spared(
            says(
                en=f"no number of failures locks the break-glass account {names}",
                zh=f"应急账户 {'、'.join(spared)} 不受登录失败锁定约束",
            ),
            spared,
        )


def _there(host: Host, accounts: Sequence[str]) -> Sequence[str]:
    """Hold that the ledger's break-glass accounts are on the host, and return them."""
    for account in accounts:
        assert host.run("grep -q %s /etc/passwd", f"^{account}:").rc == 0, says(
            en=f"the ledger registers the break-glass account {account}, which is not on the host; make it, or strike it",
            zh=f"台账登记了应急账户 {account}，主机上却没有；请建立该账户，或从台账删除",
        )
    return accounts


def _lets_in(trial: Trial, deny: int, alike: Sequence[str]) -> None:
    services = f"{'/'.join(alike[:3])}{'/...' if len(alike) > 3 else ''}"
    assert trial.wrong_let_in == 0, says(
        en=f"{services} let in {trial.account} with a wrong password ({trial.wrong_let_in} of {deny} tries)",
        zh=f"{services} 以错误口令放行 {trial.account}（{deny} 次中 {trial.wrong_let_in} 次）",
    )
    assert trial.let_in_after, says(
        en=f"the break-glass account {trial.account} is locked like any other: after {deny} wrong passwords {services} "
        "refuse the right one",
        zh=f"应急账户 {trial.account} 与其他账户一样被锁定：连续 {deny} 次口令错误后，{services} 拒绝其正确口令",
    )


def _lines(stack: Sequence[pam.Step]) -> list[pam.Rule]:
    return [step.rule for step in stack if step.rule.module == "pam_faillock"]


def _values_hold(host: Host, doors: Mapping[str, Sequence[pam.Step]], params: Params) -> list[str]:
    """Hold the values in force on each line against the parameters; return the folders of the tallies."""
    lines = {str(rule): rule for stack in doors.values() for rule in _lines(stack)}
    configurations = faillock.configurations(host, lines.values())
    folders = set()
    for rule in lines.values():
        found = faillock.settings(rule, configurations)
        folders.add(found.folder)
        assert found.deny != 0, says(
            en=f"no number of failures locks: deny = 0 ({found.origin['deny']}) holds for {rule}",
            zh=f"失败次数不限：{rule} 处 deny = 0（来源：{found.origin['deny']}）",
        )
        assert found.deny <= params.deny, says(
            en=f"locked after {found.deny} failures only, at most {params.deny} are allowed: "
            f"deny ({found.origin['deny']}) holds for {rule}",
            zh=f"连续失败 {found.deny} 次才锁定，上限为 {params.deny} 次：{rule} 处 deny 来源为 {found.origin['deny']}",
        )
        assert found.fail_interval >= params.fail_interval_least, says(
            en=f"failures are forgotten after {found.fail_interval} s, at least {params.fail_interval_least} s are "
            f"wanted: fail_interval ({found.origin['fail_interval']}) holds for {rule}",
            zh=f"失败计数 {found.fail_interval} 秒后清零，应不少于 {params.fail_interval_least} 秒："
            f"{rule} 处 fail_interval 来源为 {found.origin['fail_interval']}",
        )
        _unlocks(rule, "unlock_time", found.unlock_time, params.unlock_time_least, found.origin["unlock_time"])
        assert found.root_unlock_time is not None, says(
            en=f"root is never locked: even_deny_root is not set for {rule}",
            zh=f"root 不受锁定约束：{rule} 未启用 even_deny_root",
        )
        origin = found.origin["root_unlock_time"]
        _unlocks(rule, "root_unlock_time", found.root_unlock_time, params.root_unlock_time_least, origin)
        if found.admin_group:
            name = f"root_unlock_time (admin_group = {found.admin_group})"
            _unlocks(rule, name, found.root_unlock_time, params.unlock_time_least, origin)
    return sorted(folders)


def _unlocks(rule: pam.Rule, name: str, seconds: int, least: int, origin: str) -> None:
    assert seconds != 0, says(
        en=f"a locked account stays locked for good, so that anybody can shut anybody out: {name} = 0 ({origin}) "
        f"holds for {rule}",
        zh=f"账户锁定后永不自动解除，任何人都可借此使他人无法登录：{rule} 处 {name} = 0（来源：{origin}）",
    )
    assert seconds >= least, says(
        en=f"a lock ends after {seconds} s, at least {least} s are wanted: {name} ({origin}) holds for {rule}",
        zh=f"锁定 {seconds} 秒后即解除，应不少于 {least} 秒：{rule} 处 {name} 来源为 {origin}",
    )


def _locks(trial: Trial, deny: int, alike: Sequence[str]) -> None:
    services = f"{'/'.join(alike[:3])}{'/...' if len(alike) > 3 else ''}"
    assert trial.wrong_let_in == 0, says(
        en=f"{services} let in {trial.account} with a wrong password ({trial.wrong_let_in} of {deny} tries)",
        zh=f"{services} 以错误口令放行 {trial.account}（{deny} 次中 {trial.wrong_let_in} 次）",
    )
    # Some services are closed to root altogether; no service may be closed to everybody.
    assert trial.let_in_before or trial.account == "root", says(
        en=f"{services} refuse the right password as well, before any failure: {trial.said}",
        zh=f"{services} 在没有失败记录时也拒绝正确口令：{trial.said}",
    )
    assert not trial.let_in_after, says(
        en=f"after {deny} wrong passwords {services} still let in the account {trial.account} with the right one",
        zh=f"连续 {deny} 次口令错误后，{services} 仍以正确口令放行账户 {trial.account}",
    )


def _sshd_asks_pam(host: Host) -> None:
    asked = host.run(
        "command -v pgrep > /dev/null || exit 91; "
        "pgrep -x 'sshd|dropbear' || systemctl is-active ssh.socket sshd.socket"
    )
    if asked.rc == 91:
        raise ProbeError(
            says(
                en="pgrep is missing: whether an SSH server runs cannot be told; install procps",
                zh="缺少 pgrep，无法判断 SSH 服务是否运行；请安装 procps",
            )
        )
    if asked.rc != 0:
        return
    for daemon in sshd.daemons(host):
        assert daemon.is_openssh, says(
            en=f"a second SSH server listens, whose failures lock nobody: {daemon.executable} (pid {daemon.pid})",
            zh=f"发现第二个 SSH 服务，其登录失败不会触发锁定：{daemon.executable}（进程 {daemon.pid}）",
        )
        [values] = sshd.effective(host, daemon, [CLIENT])
        assert values.get("usepam") == ["yes"], says(
            en=f"sshd (pid {daemon.pid}) does not ask PAM: UsePAM no, so that its failures lock nobody",
            zh=f"sshd（进程 {daemon.pid}）不经过 PAM（UsePAM no），其登录失败不会触发锁定",
        )
