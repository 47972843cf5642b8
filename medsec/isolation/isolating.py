"""Isolating hosts and releasing them, under guard, each step journaled."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from medsec.catalogue.controls import Controls
from medsec.errors import MedsecError, UsageError
from medsec.evidence.plain import plain
from medsec.evidence.store import new_run_id
from medsec.guard.business import answering, flows
from medsec.guard.journal import JOURNAL, Entry, Journal
from medsec.guard.session import Change, Session, confirm
from medsec.guard.settings import settings
from medsec.inventory import Host, Inventory, effective
from medsec.isolation import on_host
from medsec.isolation.on_host import CONTROL, Record, Seen
from medsec.isolation.rules import Management, rules
from medsec.judge.identity import identify
from medsec.judge.recording import ConnectedHost
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits
from medsec.judge.verifying import operator
from medsec.resources import root
from medsec.text import Text, says

FACTS = "isolation.json"
SCHEMA = "medsec.isolation/1"
FIREWALL = "inbound_denied_by_default"
_STEP = "01"
_FORKS = 10


class End(StrEnum):
    """How it ended on a host."""

    AS_ASKED = "as_asked"
    # As asked for, and `problem` tells what to look at.
    LOOK = "look"
    REFUSED = "refused"
    NOT_DONE = "not_done"


@dataclass(frozen=True)
class Done:
    """What became of one host.

    `standing` tells whether the host is isolated now; None where nobody knows.
    """

    host: str
    end: End = End.AS_ASKED
    problem: Text | None = None
    standing: bool | None = None
    diff: str = ""
    # The rules in force before it was isolated.
    before: str = ""


def management(controls: Controls, inventory: Inventory, host: Host) -> Management:
    """Return who still gets in: the address set and the ports that the firewall's control leaves to administration.

    Raises UsageError where the set is not in the ledger.
    """
    params = effective(controls[FIREWALL], host, inventory.ledger)
    networks = inventory.ledger.address_sets.get(params.management_set)
    if not networks or not params.management_ports:
        known = ", ".join(inventory.ledger.address_sets)
        raise UsageError(
            says(
                en=f"host {host.name}: the address set {params.management_set!r} of administrators is not in the ledger or "
                f"has no port; nobody could get in again. Sets: {known}",
                zh=f"主机 {host.name}：台账中没有运维管理地址组 {params.management_set!r} 或管理端口为空，隔离后将无人能够登录。"
                f"已有地址组：{known}",
            )
        )
    return Management(params.management_set, tuple(networks), tuple(params.management_ports))


def isolate(
    inventory: Inventory,
    controls: Controls,
    hosts: Sequence[Host],
    reason: str,
    *,
    site: Path,
    on_done: Callable[[Done], None] = lambda done: None,
) -> tuple[Path, list[Done]]:
    """Cut `hosts` off but for administration, and return the run's folder below `site` and what became of each.

    + reason: why, for the record; one line
    + on_done: called as each host is done

    Gateways come last, since the way to others may lead through them. What cannot be proved is taken back; a registered
    flow that still works afterwards is a problem, and the host stays isolated. Source: 吉医保规〔2025〕4号 第三十五条.
    """
    ways = {host.name: management(controls, inventory, host) for host in hosts}
    begun = datetime.now(UTC)
    folder = _folder(site, begun)
    about = Record(
        folder.name,
        operator(),
        socket.gethostname(),
        begun.isoformat(timespec="seconds"),
        plain(" ".join(reason.split())),
    )
    journal = Journal(folder / JOURNAL)

    def one(host: Host) -> Done:
        done = _isolated(inventory, host, ways[host.name], about, journal)
        on_done(done)
        return done

    done = _side_by_side([host for host in hosts if host.ledger.kind != "gateway"], one)
    done += _side_by_side([host for host in hosts if host.ledger.kind == "gateway"], one)
    _write_facts(folder, "isolate", about, done)
    return folder, done


def release(
    inventory: Inventory,
    hosts: Sequence[Host],
    *,
    site: Path,
    force: bool = False,
    on_done: Callable[[Done], None] = lambda done: None,
) -> tuple[Path, list[Done]]:
    """Undo the isolation of `hosts` and nothing else; return the run's folder below `site` and what became of each.

    + force: also where files of the isolation were edited since

    Every file and unit is compared with what it was, and the rules in force with those before; where these differ, the
    host is released and the difference is told. Works from any controller: what is needed lies on the host.
    """
    begun = datetime.now(UTC)
    folder = _folder(site, begun)
    about = Record(folder.name, operator(), socket.gethostname(), begun.isoformat(timespec="seconds"), "")
    journal = Journal(folder / JOURNAL)

    def one(host: Host) -> Done:
        done = _released(host, site, journal, force=force, about=about)
        on_done(done)
        return done

    done = _side_by_side([host for host in hosts if host.ledger.kind == "gateway"], one)
    done += _side_by_side([host for host in hosts if host.ledger.kind != "gateway"], one)
    _write_facts(folder, "release", about, done)
    return folder, done


def _isolated(inventory: Inventory, host: Host, way: Management, about: Record, journal: Journal) -> Done:
    wanted = rules(way)
    try:
        with _connected(host) as connection:
            seen = on_host.look(connection, root() / "roles/firewall/files/operator.sh", wanted)
            refusal, obstacle = _refusal(host, way, seen), _obstacle(host, seen)
            if refusal is not None or obstacle is not None:
                end = End.NOT_DONE if refusal is None else End.REFUSED
                return Done(host.name, end, refusal or obstacle, standing=seen.cut)
            with Session(host, about.run, keep=settings(host).keep) as session:
                session.save(_STEP, on_host.spec())
                _note(journal, host, "saved", _words(about))
                session.arm(_STEP, settings(host).seconds)
                changes = _cut_and_proved(host, connection, session, wanted, about, journal)
                _note(journal, host, "confirmed", _words(about), changes)
    except MedsecError as error:
        return Done(host.name, End.NOT_DONE, _text(error))
    except OSError as error:
        return Done(host.name, End.NOT_DONE, _unrecorded(host, journal, error))
    still = [
        flow.text
        for flow in answering(inventory, flows(inventory, host))
        if not _of_management(inventory, flow.source, way, flow.port)
    ]
    if still:
        return Done(host.name, End.NOT_DONE, _still_open(host, still), standing=True, before=seen.ruleset)
    if seen.leased:
        return Done(host.name, End.LOOK, _leased(host, seen), standing=True, before=seen.ruleset)
    return Done(host.name, standing=True, before=seen.ruleset)


def _cut_and_proved(
    host: Host, connection: ConnectedHost, session: Session, wanted: str, about: Record, journal: Journal
) -> list[Change]:
    """Cut, record, and prove the way in over a fresh login, which stops the timer. Whatever fails is taken back."""
    try:
        on_host.cut(connection, wanted, about)
        changes = session.record(_STEP)
        confirm(host, about.run, _STEP)
    except MedsecError as error:
        reason = _text(error)
        _note(journal, host, "reverted", reason.en)
        with contextlib.suppress(MedsecError):  # or else the host's own timer does
            session.revert(_STEP)
        raise MedsecError(
            says(
                en=f"host {host.name}: not isolated, the change is taken back: {reason.en}",
                zh=f"主机 {host.name}：未能隔离，改动已撤回：{reason.zh}",
            )
        ) from error
    return changes


def _refusal(host: Host, way: Management, seen: Seen) -> Text | None:
    if seen.record is not None or seen.cut:
        return _isolated_already(host, seen)
    outside = [f"{address} {port}" for address, port in seen.connections if not way.lets_in(address, port)]
    if outside or not seen.connections:
        met = ", ".join(outside) or "-"
        return says(
            en=f"host {host.name}: refused, you would be shut out: the host sees your connection (address, port) as {met}, the "
            f"ledger's administrators are {', '.join(way.networks)} on ports {', '.join(map(str, way.ports))}; correct the ledger",
            zh=f"主机 {host.name}：拒绝执行，隔离后您将无法登录：主机看到的当前连接（地址与端口）为 {met}，台账中的运维管理地址为 "
            f"{'、'.join(way.networks)}，端口为 {'、'.join(map(str, way.ports))}；请更正台账",
        )
    return None


def _obstacle(host: Host, seen: Seen) -> Text | None:
    """Why the host's own packet filter cannot do it."""
    if seen.flowtables:
        return says(
            en=f"host {host.name}: its rules have a flowtable: connections handed to it pass no filter. Take the "
            "flowtable out, or cut the host off at the switch",
            zh=f"主机 {host.name}：其防火墙规则使用 flowtable，已卸载的连接不经过过滤。请删除 flowtable，或在交换机上断开该主机",
        )
    if seen.objection:
        return says(
            en=f"host {host.name}: cannot be isolated by its own packet filter, nft does not take the rules: "
            f"{seen.objection[:300]}; cut it off at the switch or pull the cable",
            zh=f"主机 {host.name}：无法用本机防火墙隔离，nft 不接受规则：{seen.objection[:300]}；请在交换机上断开或拔除网线",
        )
    return None


def _released(host: Host, site: Path, journal: Journal, *, force: bool, about: Record) -> Done:
    try:
        with _connected(host) as connection:
            seen = on_host.look(connection, root() / "roles/firewall/files/operator.sh", "")
            if seen.record is None:
                return Done(host.name, End.REFUSED, _not_isolated(host, seen), standing=seen.cut)
            before = on_host.kept_ruleset(connection)
            with Session(host, seen.record.run, keep=settings(host).keep) as session:
                kept = _undone(host, session, seen, journal, force=force, about=about)
            if kept is not None:
                return kept
            _close_begun(site, seen.record, host)
            after = on_host.ruleset(connection)
    except MedsecError as error:
        return Done(host.name, End.NOT_DONE, _text(error))
    except OSError as error:
        return Done(host.name, End.NOT_DONE, _unrecorded(host, journal, error))
    if before != after:
        diff = _difference(before or "", after)
        return Done(host.name, End.LOOK, _other_rules(host), standing=False, diff=diff)
    return Done(host.name, standing=False)


def _undone(
    host: Host, session: Session, seen: Seen, journal: Journal, *, force: bool, about: Record
) -> Done | None:
    """Take the isolation back; return why it was not, where it was not."""
    assert seen.record is not None
    if _STEP not in {step.number for step in session.steps()}:
        return Done(host.name, End.NOT_DONE, _no_copy(host, seen.record), standing=seen.cut)
    edited, diff = session.edited(_STEP, [CONTROL])
    if edited and not force:
        return Done(host.name, End.REFUSED, _edited(host, edited), standing=seen.cut, diff=diff)
    words = f"{_words(about)}; {_words(seen.record)}"
    _note(journal, host, "saved", words)
    session.rollback(_STEP, [CONTROL])
    _note(journal, host, "released", words)
    return None


def _close_begun(site: Path, record: Record, host: Host) -> None:
    """Tell the isolating run too, where it was made here, so that its rollback knows."""
    folder = site / "runs" / record.run
    if (folder / JOURNAL).is_file():
        _note(Journal(folder / JOURNAL), host, "rolled-back", "")


def _difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before isolation", "now", lineterm="")
    return "\n".join(lines)


@contextlib.contextmanager
def _connected(host: Host) -> Iterator[ConnectedHost]:
    connection = SshTransport(Limits(command=60)).connect(host)
    try:
        identify(host, connection)
        yield connection
    finally:
        connection.backend.close()


def _of_management(inventory: Inventory, source: str, way: Management, port: int) -> bool:
    return way.lets_in(inventory.hosts[source].ledger.address, port)


def _side_by_side(hosts: Sequence[Host], act: Callable[[Host], Done]) -> list[Done]:
    if not hosts:
        return []
    with ThreadPoolExecutor(max_workers=min(_FORKS, len(hosts))) as pool:
        return list(pool.map(act, hosts))


def _folder(site: Path, begun: datetime) -> Path:
    (site / "runs").mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = site / "runs" / new_run_id(begun)
    folder.mkdir(mode=0o700)
    return folder


def _write_facts(folder: Path, verb: str, about: Record, done: Sequence[Done]) -> None:
    value = {
        "schema": SCHEMA,
        "id": about.run,
        "verb": verb,
        "operator": about.operator,
        "controller": about.controller,
        "started": about.since,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "reason": about.reason,
        "hosts": [
            {
                "host": one.host,
                "isolated": one.standing,
                "end": one.end.value,
                "problem": None if one.problem is None else {"zh": one.problem.zh, "en": one.problem.en},
                "difference": one.diff,
                "rules_before": one.before,
            }
            for one in done
        ],
    }
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    with os.fdopen(
        os.open(folder / FACTS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(text)


def _note(journal: Journal, host: Host, state: str, reason: str, changes: Sequence[Change] = ()) -> None:
    journal.add(Entry(host.name, _STEP, state, [CONTROL], "medsec", list(changes), reason))


def _words(record: Record) -> str:
    return f"{record.operator} @ {record.controller} {record.since}: {record.reason}".rstrip(": ")


def _isolated_already(host: Host, seen: Seen) -> Text:
    who = "-" if seen.record is None else f"{seen.record.run}, {_words(seen.record)}"
    return says(
        en=f"host {host.name}: is isolated already ({who}); nothing was changed",
        zh=f"主机 {host.name}：已处于隔离状态（{who}），未作改动",
    )


def _not_isolated(host: Host, seen: Seen) -> Text:
    if seen.cut:
        return says(
            en=f"host {host.name}: has the table of an isolation but no record of one: nothing was changed; look at "
            "`nft list table inet medsec_isolation` and remove it by hand if it is nobody's",
            zh=f"主机 {host.name}：存在隔离规则表，但没有隔离记录，未作改动；请查看 `nft list table inet medsec_isolation`，确认后手工删除",
        )
    return says(
        en=f"host {host.name}: is not isolated; nothing was changed",
        zh=f"主机 {host.name}：未处于隔离状态，未作改动",
    )


def _edited(host: Host, paths: Sequence[str]) -> Text:
    return says(
        en=f"host {host.name}: edited since it was isolated: {', '.join(paths)}; still isolated. Look at the difference; "
        "--force releases it all the same",
        zh=f"主机 {host.name}：隔离之后以下文件被修改：{'、'.join(paths)}；仍处于隔离状态。请核对差异；--force 可强制解除",
    )


def _no_copy(host: Host, record: Record) -> Text:
    return says(
        en=f"host {host.name}: the guard's copies of run {record.run} are gone from the host; release it at its console: "
        "disable medsec-isolation.timer and medsec-isolation.service, remove /etc/medsec/isolation, delete the table",
        zh=f"主机 {host.name}：主机上已没有运行 {record.run} 的备份；请在主机控制台解除：停用 medsec-isolation.timer 与 "
        "medsec-isolation.service，删除 /etc/medsec/isolation 及隔离规则表",
    )


def _other_rules(host: Host) -> Text:
    return says(
        en=f"host {host.name}: released; the firewall rules in force differ from those before its isolation, which changed "
        "none of them: somebody else did. Look at the difference and verify",
        zh=f"主机 {host.name}：已解除隔离；当前防火墙规则与隔离前不同，并非隔离所致，系他人改动。请核对差异并重新核查",
    )


def _still_open(host: Host, still: Sequence[Text]) -> Text:
    return says(
        en=f"host {host.name}: isolated, yet these flows still work: {', '.join(text.en for text in still)}; something "
        "answers in its place: cut it off at the switch",
        zh=f"主机 {host.name}：已隔离，但以下访问仍然连通：{'、'.join(text.zh for text in still)}；请在交换机上断开",
    )


def _leased(host: Host, seen: Seen) -> Text:
    return says(
        en=f"host {host.name}: isolated; its address {', '.join(seen.leased)} is on loan (DHCP) and cannot be renewed: when it "
        "lapses only the console is left. Give it a fixed address",
        zh=f"主机 {host.name}：已隔离；其地址 {'、'.join(seen.leased)} 由 DHCP 分配，隔离期间无法续租，到期后只能从控制台管理。请改为固定地址",
    )


def _unrecorded(host: Host, journal: Journal, error: OSError) -> Text:
    return says(
        en=f"host {host.name}: {journal.path}: {error.strerror}; what is not recorded is not done: make room and try again",
        zh=f"主机 {host.name}：{journal.path}：{error.strerror}；无法留下记录的操作不予执行：请腾出空间后重试",
    )


def _text(error: MedsecError) -> Text:
    return says(en=error.in_language("en"), zh=error.in_language("zh"))
