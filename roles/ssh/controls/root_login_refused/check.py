"""Asks each running SSH daemon what it would do with root, from wherever root might come."""

from __future__ import annotations

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import sshd
from medsec.text import says


def check(host: Host, params: Params) -> None:
    users = sshd.superusers(host)
    for daemon in sshd.daemons(host):
        assert daemon.is_openssh, says(
            en=f"a second SSH server listens: {daemon.executable} (pid {daemon.pid}); it must be removed or registered",
            zh=f"发现第二个 SSH 服务：{daemon.executable}（进程 {daemon.pid}），应卸载或登记",
        )
        texts = sshd.config_texts(host, daemon)
        cases = sshd.connections(texts, users, daemon)
        for case, settings in zip(cases, sshd.effective(host, daemon, cases), strict=True):
            shown = sshd.specification(case)
            assert _refuses(settings, case["user"]), says(
                en=f"root may log in: permitrootlogin {settings['permitrootlogin'][0]} for a connection with {shown}",
                zh=f"root 可直接登录：连接条件 {shown} 下 permitrootlogin 为 {settings['permitrootlogin'][0]}",
            )
        late = sshd.changed_since_load(host, daemon, texts)
        assert not late, says(
            en=f"sshd (pid {daemon.pid}) has not read its settings since they changed: {', '.join(late)}",
            zh=f"sshd（进程 {daemon.pid}）尚未重新加载已修改的配置：{'、'.join(late)}",
        )


def _refuses(settings: dict[str, list[str]], user: str) -> bool:
    allowed = settings.get("allowusers")
    return (
        settings["permitrootlogin"] == ["no"]
        or user in settings.get("denyusers", [])
        or (allowed is not None and not any(sshd.names(pattern, user) for pattern in allowed))
    )
