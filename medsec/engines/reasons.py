"""Why a host could not be worked on: tools' own words turned into one sentence that says what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medsec.text import Text, says


@dataclass(frozen=True)
class _Reason:
    pattern: re.Pattern[str]
    en: str
    zh: str


def _reason(pattern: str, *, en: str, zh: str) -> _Reason:
    return _Reason(re.compile(pattern, re.IGNORECASE), en, zh)


_REASONS = (
    _reason(
        r"host key .*(does not match|has changed)|REMOTE HOST IDENTIFICATION HAS CHANGED|BadHostKey",
        en="the host shows another SSH host key than the known one; it was reinstalled, or somebody is in between: "
        "compare the fingerprint at its console before you replace the known_hosts line",
        zh="主机出示的 SSH 主机密钥与已知的不一致；可能是重装系统，也可能有人在中间冒充：请在其控制台核对指纹后再更新 known_hosts",
    ),
    _reason(
        r"no host key .*known_hosts|host key verification failed|No .*host key is known",
        en="the host's SSH host key is not known here; compare its fingerprint at the console, then add it to known_hosts",
        zh="本机没有该主机的 SSH 主机密钥；请在其控制台核对指纹后加入 known_hosts",
    ),
    _reason(
        r"authentication (error|failed)|permission denied \(|no authentication methods|encountered RSA key|not a valid .*key file",
        en="the host refused the login; check user and key (ansible_user, ansible_ssh_private_key_file)",
        zh="主机拒绝登录；请检查账户和密钥（ansible_user、ansible_ssh_private_key_file）",
    ),
    _reason(
        r"incorrect password attempt|incorrect sudo password|Sorry, try again|no password was provided",
        en="sudo refuses the password; correct it, and look with `faillock` whether the account is locked",
        zh="sudo 拒绝了该口令；请更正，并用 `faillock` 查看账户是否被锁定",
    ),
    _reason(
        r"sudo: .*a password is required|is not in the sudoers|is not allowed to (run sudo|execute)|missing sudo password|may not run sudo",
        en="the account may not become root by sudo without a password; name the password (see docs/secrets.md), allow it without, or use another account",
        zh="该账户无法免密使用 sudo；请提供口令（见 docs/secrets.zh-CN.md）、授权免密或更换账户",
    ),
    _reason(
        r"sudo: (command )?not found|: sudo: .*not found|sudo: No such file",
        en="there is no sudo on the host; install it, or log in with an account that needs none (ansible_become: false)",
        zh="主机上没有 sudo；请先安装，或改用无需提权的账户（ansible_become: false）",
    ),
    _reason(
        r"python\S*: (command )?not found|/python\S*.* (No such file|not found)|interpreter .*(not found|invalid|was not found)"
        r"|need to set the interpreter|No such file or directory.*python",
        en="no Python on host: use --engine pyinfra, which needs none",
        zh="主机上没有 Python：请改用 --engine pyinfra，该引擎无需 Python",
    ),
    _reason(
        r"could not resolve|name or service not known|nodename nor servname|Temporary failure in name resolution",
        en="the host's name does not resolve; set ansible_host to its address",
        zh="无法解析主机名；请用 ansible_host 写明地址",
    ),
    _reason(
        r"timed? ?out|no route to host|network is unreachable|connection refused|unable to connect|could not connect",
        en="the host does not answer; check that it is switched on, its address and port, and the firewalls on the way",
        zh="主机没有应答；请检查是否开机、地址和端口是否正确、沿途防火墙是否放行",
    ),
    _reason(
        r"connection (reset|closed|lost)|broken pipe|session not active|EOF|shared connection .* closed",
        en="the connection to the host broke in the middle; what was done until then stands, run again to finish",
        zh="与主机的连接中断；已完成的部分已生效，请重新运行以完成其余部分",
    ),
)


def why(raw: str) -> Text:
    """Return what `raw`, the words of ssh, sudo or an engine, means for the operator; with the words themselves."""
    words = " ".join(raw.split())[-600:] or "-"
    for reason in _REASONS:
        if reason.pattern.search(raw):
            return says(en=f"{reason.en} ({words})", zh=f"{reason.zh}（{words}）")
    return says(en=f"the host cannot be worked on: {words}", zh=f"无法在该主机上执行：{words}")


def without_python(raw: str) -> bool:
    """Return whether `raw` says that the host has no Python."""
    return any(reason.en.startswith("no Python") and reason.pattern.search(raw) for reason in _REASONS)
