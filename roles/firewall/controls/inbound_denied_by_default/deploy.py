"""Puts the ledger's rule set in force, now and at boot, where the host's own says anything else."""

from __future__ import annotations

from pyinfra import host
from pyinfra.operations import server, systemd

from medsec.errors import UsageError
from medsec.inventory import Params
from medsec.operations.packet_filter import OperatorConnection, PacketFilter
from medsec.operations.templates import template
from medsec.packetfilter import host_rules
from medsec.packetfilter.flows import Registered
from medsec.text import says

FILES = {"debian": "/etc/nftables.conf", "redhat": "/etc/sysconfig/nftables.conf"}


def deploy(params: Params) -> None:
    """Apply the remedy. Raises UsageError when the rules would shut out the operator's own connection."""
    server.packages(name="Install nftables", packages=["nftables"], present=True)
    rules = host.get_fact(PacketFilter)
    wanted = host_rules.wanted_by(params)
    if rules is not None and not host_rules.problems(rules, wanted):
        return
    _require_operator(params, wanted)
    if rules is not None and rules.overridden:
        server.shell(
            name="Let nftables.service start as its package means it to",
            commands=["systemctl revert nftables.service"],
        )
    template(
        name="Write the rule set of the ledger",
        src="roles/firewall/templates/nftables.conf.j2",
        dest=FILES[params.os_family],
        params=params,
        mode="0644",
        validate="nft -c -f %s",
    )
    for unit in host_rules.other_loaders(rules):
        systemd.service(
            name=f"Keep other rule sets from loading at boot: {unit}", service=unit, running=None, enabled=False
        )
    systemd.service(
        name="Load the rule set at boot",
        service="nftables.service",
        running=None,
        enabled=True,
        daemon_reload=True,
    )
    server.shell(name="Load the rule set now", commands=["systemctl reload-or-restart nftables.service"])
    for program in host_rules.legacy_programs(rules):  # last, so that the host is never without rules
        server.shell(
            name=f"Drop the rules that nft cannot show: {program}",
            commands=[
                f"for chain in INPUT FORWARD OUTPUT; do {program} -P $chain ACCEPT; done; {program} -F; {program} -X"
            ],
        )


def _require_operator(params: Params, wanted: Registered) -> None:
    shut_out = ", ".join(host_rules.shut_out(host.get_fact(OperatorConnection), wanted))
    if shut_out:
        raise UsageError(
            says(
                en=f"{host.name}: these rules would shut out the operator's own SSH connection (client and port "
                f"{shut_out}); add the address to the address set {params.management_set} of the ledger, or the port "
                "to inbound_denied_by_default_management_ports",
                zh=f"{host.name}：按此规则，当前运维连接（客户端地址与端口 {shut_out}）将被拒绝；请将该地址加入台账地址组 "
                f"{params.management_set}，或将端口加入 inbound_denied_by_default_management_ports",
            )
        )
