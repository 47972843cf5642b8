"""Tries weak passwords through PAM, by root and by a user, and follows the ways that open for some accounts only."""

from __future__ import annotations

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes import pam, pam_ways
from medsec.probes.password_attempts import Attempt, attempts
from medsec.text import says


def check(host: Host, params: Params) -> None:
    known = pam.services(host)
    # `passwd` first, so that it speaks for the services that do as it does.
    names = ["passwd", *(name for name in known.names() if name != "passwd")]
    stacks = {name: known.stack(name, "password") for name in names}
    setters = {name: stack for name, stack in stacks.items() if pam_ways.sets_passwords(stack)}
    assert "passwd" in setters, says(
        en="no module of the PAM service passwd stores passwords: nobody can change one",
        zh="PAM 服务 passwd 中没有任何保存口令的模块，口令无法修改",
    )
    groups = pam_ways.alike(setters)
    tried = attempts(host, list(groups), minlen=params.minlen, minclass=params.minclass)

    weak = [attempt for attempt in tried if attempt.accepted and attempt.candidate.lacks]
    assert not weak, says(
        en=f"weak passwords are accepted: {'; '.join(_by_path(weak, 'en', groups))}",
        zh=f"弱口令可以设置成功：{'；'.join(_by_path(weak, 'zh', groups))}",
    )
    refused = [attempt for attempt in tried if not attempt.accepted and not attempt.candidate.lacks]
    for attempt in refused:
        assert attempt.service not in ("passwd", "chpasswd"), says(
            en=f"a good password is refused as well ({attempt.service}, set by {attempt.by}), so no password can be "
            f"changed: {attempt.message}",
            zh=f"合格口令同样被拒绝（{attempt.service}，由 {attempt.by} 设置），口令无法正常更换：{attempt.message}",
        )
    for service, stack in setters.items():
        way = pam_ways.unchecked_change(stack)
        assert way is None, says(
            en=f"the PAM service {service} can store a password that was not checked: {way}",
            zh=f"PAM 服务 {service} 存在不经强度检查即保存口令的路径：{way}",
        )
        again = pam_ways.asks_again(stack)
        assert again is None, says(
            en=f"pam_unix ({again}) asks for another password, which nobody judges, where it refuses the first "
            f"(one used before, say): use_authtok is missing ({service})",
            zh=f"pam_unix（{again}）缺少 use_authtok：首次口令被其拒绝（如历史口令）后会另行索取不经强度检查的口令（{service}）",
        )


def _by_path(weak: list[Attempt], language: str, groups: dict[str, list[str]]) -> list[str]:
    paths: dict[str, list[str]] = {}
    for attempt in weak:
        alike = groups.get(attempt.service, [attempt.service])
        service = f"{'/'.join(alike[:3])}{'/...' if len(alike) > 3 else ''}"
        by = {"en": f"{service} by {attempt.by}", "zh": f"{service}（由 {attempt.by} 设置）"}[language]
        lacks = attempt.candidate.lacks
        paths.setdefault(by, []).append(lacks.in_language(language) if lacks else "")  # type: ignore[arg-type]
    if language == "zh":
        return [f"{path}：{'、'.join(lacks)}" for path, lacks in paths.items()]
    return [f"{path}: {', '.join(lacks)}" for path, lacks in paths.items()]
