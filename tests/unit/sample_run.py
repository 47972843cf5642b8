"""Runs of any size, written by the real store, for the tests of reports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from medsec.catalogue.source import Bilingual
from medsec.catalogue.standards import load_standards
from medsec.evidence.findings import CommandRecord, Finding, Verdict, WaiverNote
from medsec.evidence.reading import Run, load_run
from medsec.evidence.run import ControlFacts, HostFacts, IdentityFacts, ItemFacts, RunHeader
from medsec.evidence.store import RunStore
from medsec.inventory.ledger import Deadlines
from medsec.resources import root
from medsec.text import Text, says

NOW = datetime(2025, 11, 22, 2, 15, tzinfo=UTC)
OWNERS = ("王建国", "李晓红", "张敏", "陈静")

# id, item, severity, title
CONTROLS = (
    ("root_login_refused", "NW-10", "high", "禁止 root 通过 SSH 直接登录", "Root cannot log in by SSH"),
    ("inbound_denied_by_default", "NW-02", "high", "主机防火墙默认拒绝入站", "Inbound is denied by default"),
    ("listeners_registered", "NW-01", "high", "监听端口均已登记", "Every listener is registered"),
    ("password_quality", "AC-01", "high", "口令至少 8 位、四类字符", "Passwords of 8 characters, four classes"),
    ("lockout_after_failures", "AC-02", "high", "连续失败后锁定账户", "Accounts lock after failures"),
    ("logs_kept", "LG-02", "critical", "日志留存不少于 190 天", "Logs are kept for 190 days"),
    ("usb_storage_refused", "UM-01", "high", "禁用 USB 存储", "USB storage is refused"),
    ("remote_control_absent", "RC-01", "critical", "未安装远程控制软件", "No remote control software"),
    ("db_audit_on", "DB-03", "high", "数据库审计已开启", "The database audits"),
    ("db_backup_fresh", "BK-01", "critical", "数据库每日备份且最近一次成功", "Daily database backup is fresh"),
    ("time_internal", "TM-01", "medium", "仅使用内部授时源", "Time comes from inside only"),
    ("account_files_closed", "FP-01", "low", "账户文件权限正确", "Account files are closed"),
)


def _words(zh: str, en: str) -> Bilingual:
    return Bilingual(zh=zh, en=en)


def _controls() -> list[ControlFacts]:
    return [
        ControlFacts(
            id=name,
            item=item,
            family=name.split("_", maxsplit=1)[0],
            title=_words(zh, en),
            why=_words(f"{zh}，否则一处失守即波及全院。", f"{en}; otherwise one loss spreads."),
            impact=_words("依赖旧设置的脚本会被拒绝。", "Scripts that rely on the old setting are refused."),
            severity=severity,  # type: ignore[arg-type]
            enforce=name != "remote_control_absent",
            who_acts=_words("由科室负责人卸载并登记。", "The department removes and registers it.")
            if name == "remote_control_absent"
            else None,
        )
        for name, item, severity, zh, en in CONTROLS
    ]


def _hosts(count: int) -> list[HostFacts]:
    named = [("gateway", "gateway"), ("his-app", "server"), ("his-db", "db"), ("backup", "backup")]
    named += [(f"zd-{number:03d}", "terminal") for number in range(1, count - 3)]
    return [
        HostFacts(
            name=name,
            address=f"10.66.{3 + index // 250}.{index % 250 + 1}",
            kind=kind,
            os_family="debian",
            department=_words(
                "收费处" if kind == "terminal" else "信息科", "Billing" if kind == "terminal" else "IT"
            ),
            owner=OWNERS[index % 4],
            location=_words("一楼", "First floor"),
            purpose=_words("业务", "Business"),
        )
        for index, (name, kind) in enumerate(named[:count])
    ]


def make_run(
    site: Path,
    *,
    hosts: int,
    worst: bool = True,
    finish: bool = True,
    controls: int = 12,
    left_out: tuple[str, ...] = (),
    deadlines: Deadlines | None = None,
) -> Run:
    """Write a run over `hosts` hosts and read it back; with `worst`, every verdict of a judge occurs in it.

    The profile of every host but the first leaves out the controls `left_out`.
    """
    standards = load_standards(root() / "standards")
    header = RunHeader(
        schema="medsec.run/1",
        id="20251122T021500Z-3f9a1c",
        medsec="0.1.0",
        catalogue="c0ffee" * 10,
        operator="王建国",
        controller="管理机",
        argv=["medsec", "verify", "--inventory", "clinic"],
        started=NOW,
        finished=None,
        institution=_words("示范诊所", "Example clinic"),
        mlps_level=2,
        deadlines=deadlines or Deadlines(),
        hosts=_hosts(hosts),
        controls=_controls()[:controls],
        items=[ItemFacts.of(item, standards, 2) for item in standards.items.values()],
    )
    store = RunStore(site, header)
    for index, host in enumerate(header.hosts):
        for place, control in enumerate(header.controls):
            if index and control.id in left_out:
                text = says(en=f"medsec_controls says !{control.id}", zh=f"medsec_controls 含 !{control.id}")
                store.add(_made(host, control, Verdict.NOT_SELECTED, text, []))
            else:
                store.add(_finding(host, index, control, place, worst))
        identity = IdentityFacts(
            hostname=host.name,
            machine=f"{index:064x}",
            host_key=f"SHA256:{index:043d}",
            os_id="debian",
            os_version="12",
            os_family="debian",
            kernel="6.1.0",
            clock=1763777700,
        )
        unreachable = worst and index % 10 == 7
        store.host_done(host.name, None if unreachable else identity)
        if not finish and index == len(header.hosts) // 2:
            break
    if finish:
        store.finish()
    store.close()
    return load_run(store.path)


def _finding(host: HostFacts, index: int, control: ControlFacts, place: int, worst: bool) -> Finding:
    database = control.id.startswith("db_")
    if database and host.kind != "db":
        text = says(
            en=f"the host is registered as {host.kind}; the control speaks of db",
            zh=f"台账登记该主机类型为 {host.kind}；本控制项适用于 db",
        )
        return _made(host, control, Verdict.NOT_APPLICABLE, text, [])
    if worst and index % 10 == 7:
        place_text = f"admin@{host.address}:22"
        text = says(
            en=f"host {host.name} ({place_text}): no answer in time; check that it is on",
            zh=f"主机 {host.name}（{place_text}）：连接超时无应答；请确认主机已开机、线路正常且防火墙放行",
        )
        return _made(host, control, Verdict.UNREACHABLE, text, [])
    output = f"<script>alert('{host.name}')</script>\n\x1b[31mpermitrootlogin\x1b[0m yes\nport 22\n"
    commands = [
        CommandRecord("LC_ALL=C sshd -T -C user=root", 0, output, "", NOW, 0.042, "ab" * 32),
        CommandRecord("systemctl show ssh -p ActiveState", 0, "ActiveState=active\n", "", NOW, 0.011, "cd" * 32),
    ]
    if worst and (index + place) % 7 == 3:
        text = says(
            en=f"met {control.title.en} & not so <b>", zh=f"实际不满足“{control.title.zh}”：值为 <b>yes</b>"
        )
        if (index + place) % 3 == 0 and place % 2:
            note = WaiverNote(
                "Oracle 11g 补丁影响 HIS",
                "信息科",
                "分管院长",
                ("仅应用服务器可连", "审计开启"),
                "2026-03-31",
                "active",
            )
            waived = says(
                en=f"waived until 2026-03-31, would fail: {text.en}",
                zh=f"已豁免至 2026-03-31，实际不符合：{text.zh}",
            )
            return _made(host, control, Verdict.WAIVED, waived, commands, waiver=note)
        return _made(host, control, Verdict.FAIL, text, commands)
    if worst and (index + place) % 29 == 11:
        text = says(
            en="`nft -j list ruleset` ended with exit code 127",
            zh="`nft -j list ruleset` 退出码为 127：未找到命令",
        )
        return _made(host, control, Verdict.ERROR, text, commands[:1])
    return _made(host, control, Verdict.PASS, says(en="as required", zh="符合要求"), commands)


def _made(
    host: HostFacts,
    control: ControlFacts,
    verdict: Verdict,
    text: Text,
    evidence: list[CommandRecord],
    *,
    waiver: WaiverNote | None = None,
) -> Finding:
    return Finding(host.name, control.id, control.item, verdict, text, NOW, 0.05, evidence, waiver)
