"""The packet filter of one host: as it is now, and as the next boot makes it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medsec.errors import ProbeError
from medsec.packetfilter.flows import Registered, differences, registered
from medsec.packetfilter.ruleset import Ruleset, parse
from medsec.text import Text, says

# The table of `medsec isolate`.
ISOLATION = "medsec_isolation"
# Targets that every boot reaches; a unit that only others want is not started.
_REACHED = frozenset(
    [
        "sysinit.target",
        "basic.target",
        "multi-user.target",
        "graphical.target",
        "default.target",
        "network-pre.target",
        "network.target",
    ]
)


@dataclass(frozen=True)
class Loader:
    """An enabled unit that loads rules at boot."""

    unit: str
    wanted_by: tuple[str, ...]
    conditions: tuple[str, ...]
    # Its files changed after systemd read them: the next boot runs something else than what is shown.
    stale: bool


@dataclass(frozen=True)
class HostRules:
    """What `question` answered."""

    now: Ruleset
    # The rule set after the next boot; the words of the error where it does not load; None where no unit loads one.
    boot: Ruleset | str | None
    interfaces: tuple[str, ...]
    loaders: tuple[Loader, ...]
    nftables_service: str
    # Masked, or changed by files of the site: it may start something else than its package means it to.
    overridden: bool
    other_firewalls: tuple[str, ...]
    # Scripts, settings and units of the site that run nft or iptables while the host starts or on a schedule.
    scripts: tuple[str, ...]
    legacy: tuple[str, ...]


def question() -> str:
    """Return the shell command, for root, whose answer `read` understands."""
    script = Path(__file__).with_name("read_rules.sh").read_text(encoding="utf-8")
    return re.sub(r"(?m)^\s*#.*\n", "", script)  # what is said to readers need not travel to every host


def read(answer: str) -> HostRules | None:
    """Return the packet filter that `answer` describes; None where nft is not installed.

    Raises ProbeError when the answer is not one of `question`.
    """
    if answer.strip() == "== no nft":
        return None
    sections = _sections(answer)
    names = ("now", "interfaces", "loaders", "nftables.service", "others", "boot", "scripts", "legacy", "end")
    if tuple(sections) != names:
        raise ProbeError(
            says(
                en=f"the packet filter could not be read: the answer stops at {list(sections)[-1:]}: {answer[-200:]!r}",
                zh=f"无法读取主机防火墙规则：输出中断于 {list(sections)[-1:]}：{answer[-200:]!r}",
            )
        )
    unseen = "nat" in sections["legacy"]
    boot = _boot(sections["boot"])
    state = dict(line.partition("=")[::2] for line in sections["nftables.service"])
    return HostRules(
        now=replace(parse("\n".join(sections["now"])), rewritten_unseen=unseen),
        boot=replace(boot, rewritten_unseen=unseen) if isinstance(boot, Ruleset) else boot,
        interfaces=tuple(sorted(sections["interfaces"], key=lambda name: (name != "lo", name))),
        loaders=tuple(_loaders(sections["loaders"])),
        nftables_service=state["UnitFileState"] or state["LoadState"],
        overridden=bool(re.search(r"^masked|/(etc|run)/systemd/system/", "\n".join(state.values()), re.MULTILINE)),
        other_firewalls=tuple(sections["others"]),
        scripts=tuple(sections["scripts"]),
        legacy=tuple(line for line in sections["legacy"] if line != "nat"),
    )


def _sections(answer: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in answer.splitlines():
        if line.startswith("== "):
            lines = sections.setdefault(line.removeprefix("== "), [])
        elif line.strip():
            lines.append(line)
    return sections


def _boot(lines: Sequence[str]) -> Ruleset | str | None:
    text = "\n".join(lines)
    if not text:
        return None
    return parse(text) if text.startswith('{"nftables"') else text


def _loaders(lines: Sequence[str]) -> Iterator[Loader]:
    unit = ""
    wanted: list[str] = []
    conditions: list[str] = []
    stale = False
    for line in [*lines, "unit "]:
        word, _, rest = line.partition(" ")
        if word == "unit":
            if unit:
                yield Loader(unit, tuple(wanted), tuple(conditions), stale)
            unit, wanted, conditions, stale = rest, [], [], False
        elif word == "wanted":
            wanted += rest.split()
        elif word == "condition":
            conditions.append(rest)
        elif word == "stale":
            stale = True


def problems(rules: HostRules, wanted: Registered) -> list[Text]:
    """Return everything that keeps the filter of a host from being what `wanted` registers, now and after a boot."""
    now = differences(rules.now, wanted, rules.interfaces)
    return [*now, *_of_boot(rules, wanted, now), *_beside(rules)]


def _of_boot(rules: HostRules, wanted: Registered, now: Sequence[Text]) -> Iterator[Text]:
    if rules.boot is None:
        yield says(
            en=f"no enabled unit loads a rule set at boot: nftables.service is {rules.nftables_service}",
            zh=f"没有随系统启动加载防火墙规则的服务：nftables.service 状态为 {rules.nftables_service}",
        )
        return
    if isinstance(rules.boot, str):
        yield says(
            en=f"the rule set of the next boot does not load: {rules.boot[:300]}",
            zh=f"下次启动时防火墙规则无法加载：{rules.boot[:300]}",
        )
        return
    for loader in rules.loaders:
        if not _REACHED & set(loader.wanted_by):
            yield says(
                en=f"{loader.unit} is enabled for {', '.join(loader.wanted_by) or 'nothing'}, which boot does not reach",
                zh=f"{loader.unit} 仅挂接于 {'、'.join(loader.wanted_by) or '无'}，系统启动时不会加载",
            )
        if loader.stale:
            yield says(
                en=f"the files of {loader.unit} changed after systemd read them; run `systemctl daemon-reload`",
                zh=f"{loader.unit} 的配置文件已修改而 systemd 尚未重新加载，请执行 `systemctl daemon-reload`",
            )
        for condition in loader.conditions:
            yield says(
                en=f"{loader.unit} starts only on a condition ({condition})",
                zh=f"{loader.unit} 的启动附有条件（{condition}）",
            )
    # Handles of rules differ between the two; what is wrong in both is told once.
    if rules.boot != rules.now:
        for text in differences(rules.boot, wanted, rules.interfaces):
            if text not in now:
                yield says(en=f"after the next boot: {text.en}", zh=f"下次启动后：{text.zh}")


def _beside(rules: HostRules) -> Iterator[Text]:
    for unit in rules.other_firewalls:
        yield says(
            en=f"{unit} loads a rule set of its own at boot, beside the one that is judged here",
            zh=f"{unit} 随系统启动加载另一套防火墙规则，两套规则并存，结果无法核定",
        )
    for script in rules.scripts:
        yield says(
            en=f"{script} runs nft or iptables besides, or stops nftables.service: what it changes at boot cannot be judged; move it to the rule set",
            zh=f"{script} 另行调用 nft 或 iptables，或停止 nftables.service，启动后实际规则无法核定，应并入规则文件",
        )
    for rule in rules.legacy:
        yield says(
            en=f"rules that nft cannot show are in force beside the rule set: {rule}",
            zh=f"另有 nft 无法显示的旧式规则生效：{rule}",
        )


def wanted_by(variables: Mapping[str, Any]) -> Registered:
    """Return the registered flows from the parameters of a control, by their short names."""
    return registered(
        listens=variables["listens"],
        forwards=variables["forwards"],
        address_sets=variables["address_sets"],
        management_set=variables["management_set"],
        management_ports=variables["management_ports"],
    )


def shut_out(connections: str, wanted: Registered) -> list[str]:
    """Return the connections that `wanted` would not let in again.

    + connections: SSH connections to this host, a line each: the client's address and the host's port
    """
    return [line for line in connections.splitlines() if line.strip() and not _comes_in(line, wanted)]


def _comes_in(connection: str, wanted: Registered) -> bool:
    address, port = connection.split()
    client = ipaddress.ip_address(address.partition("%")[0])
    client = getattr(client, "ipv4_mapped", None) or client
    return client.is_loopback or any(
        flow.protocol == "tcp" and flow.port == int(port) and any(client in network for network in flow.sources)
        for flow in wanted.allowed_in
    )


def other_loaders(rules: HostRules | None) -> list[str]:
    """Return the units that load rules at boot and are not nftables.service."""
    if rules is None:
        return []
    return [
        *(loader.unit for loader in rules.loaders if loader.unit != "nftables.service"),
        *rules.other_firewalls,
    ]


def legacy_programs(rules: HostRules | None) -> list[str]:
    """Return the programs (iptables-legacy, ip6tables-legacy) whose tables hold rules."""
    return sorted({rule.split()[0] for rule in rules.legacy}) if rules else []
