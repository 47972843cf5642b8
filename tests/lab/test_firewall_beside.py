"""What changes the filter beside its rule set: every way is named, and what only speaks of the filter is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medsec.lab import Lab, LabHost
from tests import ledger_site as site

CONTROL = "inbound_denied_by_default"
STAGED = r"""
cd /etc/systemd/system
unit() { name=$1; shift; printf '[Service]\nType=oneshot\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "$*" > "$name"; }
unit flushes.service '/bin/sh -c "sleep 1; nft flush ruleset"'
unit stops.service /bin/systemctl stop nftables.service
unit asleep.service '/bin/sh -c "nft flush ruleset"'
unit daily.service /usr/local/sbin/his-net
printf '[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n' > daily.timer
printf '#!/bin/sh\nnft add rule inet medsec input tcp dport 3389 accept\n' > /usr/local/sbin/his-net
mkdir ssh.service.d
printf '[Service]\nExecStartPost=/bin/sh -c "iptables -I INPUT -j ACCEPT"\n' > ssh.service.d/site.conf
systemctl enable flushes.service stops.service daily.timer
systemctl daemon-reload
systemctl start daily.timer
echo '@reboot root sleep 60; systemctl stop nftables' > /etc/cron.d/his-net
echo '5 1 * * * root tar -czf /var/backups/fw.tgz /etc/nftables.conf && systemctl restart nftables' > /etc/cron.d/keep
mv /etc/nftables.conf /run/site.nft
printf 'flush ruleset\ninclude "/run/site*.nft"\n' > /etc/nftables.conf
"""


def test_every_way_beside_the_rule_set_is_named(
    lab: Lab, fresh_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    host = fresh_host()
    entries = {host.name: site.entry(host)}
    inventory = site.write(tmp_path, lab, {host.name: host}, entries, {"management": site.console(host)})
    outcome = site.remedy(inventory, CONTROL, [host.name], "pyinfra")[host.name]
    assert outcome.failed is None
    host.run_as_root(STAGED).check_returncode()
    told = site.verdict(inventory, CONTROL, host.name).text.en
    for name in (
        "flushes.service",
        "stops.service",
        "ssh.service",
        "/usr/local/sbin/his-net",
        "/etc/cron.d/his-net",
    ):
        assert f"{name} runs nft or iptables besides, or stops nftables.service" in told
    assert "asleep.service" not in told
    assert "/etc/cron.d/keep" not in told
    assert "after the next boot: incoming IPv4 packets are not filtered" in told
