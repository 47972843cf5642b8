"""The packet filter of a host: how what it lets in and through differs from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError
from medsec.packetfilter.host_rules import ISOLATION, HostRules, problems, question, read, wanted_by
from medsec.text import Text, says


def deviations(host: Host, params: Mapping[str, Any]) -> list[Text]:
    """Return everything in which the filter of `host`, now or after the next boot, differs from the ledger.

    + params: `listens`, `forwards`, `address_sets`, `management_set` and `management_ports` of the control

    Raises ProbeError where the filter cannot be read. Source of the rule: GB/T 22239-2019 8.1.3.2 a) to d).
    """
    rules = packet_filter(host)
    if any(chain.table == ISOLATION for chain in rules.now.chains.values()):
        raise ProbeError(
            says(
                en="the host is isolated (`medsec isolate`), which hides what its own rules let in; verify it after `medsec release`",
                zh="主机处于隔离状态（`medsec isolate`），其自身规则的放行情况被掩盖，无法判定；请在 `medsec release` 之后重新核查",
            )
        )
    return problems(rules, wanted_by(params))


def packet_filter(host: Host) -> HostRules:
    """Return the packet filter of `host`, read as root with one command that changes nothing.

    Raises ProbeError where nft is not installed, since only it can show the rules, or where it does not answer.
    """
    done = host.run(question())
    if done.rc != 0:
        raise ProbeError(
            says(
                en=f"the packet filter could not be read (exit code {done.rc}): {done.stderr.strip()[-300:]}",
                zh=f"无法读取主机防火墙规则（退出码 {done.rc}）：{done.stderr.strip()[-300:]}",
            )
        )
    rules = read(done.stdout)
    if rules is None:
        raise ProbeError(
            says(
                en="nft is not installed, so nobody can say what this host lets in; install the package nftables",
                zh="未安装 nft，无法核查主机放行了哪些访问；请安装 nftables 软件包",
            )
        )
    return rules
