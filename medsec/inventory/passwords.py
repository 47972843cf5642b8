"""Where the password that sudo asks for comes from; it is read when it is first needed, and never shown."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from medsec.errors import UsageError
from medsec.text import Text, says

STANDARD = ("ansible_become_password", "ansible_become_pass")
SOURCE = "medsec_become_password_from"
FORMS = "credential:NAME, keyring:SERVICE/USER, file:PATH"
# More than PAM takes as one answer would be cut off by it without a word.
_LONGEST = 511
_SECRET = re.compile(r"ansible_.*pass(word|wd|phrase)?")


class Password:
    """A password that is read when it is first needed and kept until the process ends.

    + host: whose password it is, for messages
    + origin: the variable that names it, for messages
    """

    def __init__(self, host: str, origin: str, read: Callable[[], str]) -> None:
        self.host = host
        self.origin = origin
        self._read = read
        self._lock = threading.Lock()
        self._value: str | None = None
        self._refused: Text | None = None

    def refuse(self, text: Text) -> None:
        """Remember that sudo refused it: it is not tried again, since each try counts towards a lock."""
        self._refused = text

    def reveal(self) -> str:
        """Return the password. Raises UsageError where it cannot be read, cannot be one, or was refused before."""
        with self._lock:
            if self._refused is not None:
                raise UsageError(self._refused)
            if self._value is None:
                value = self._read()
                problem = _problem(value)
                if problem is not None:
                    raise _wrong(self.host, self.origin, problem)
                self._value = value
            return self._value

    def __repr__(self) -> str:
        return f"Password({self.host!r}, {self.origin!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not stored")


def is_secret(variable: str) -> bool:
    """Return whether an inventory variable holds a secret of Ansible's; such a one is not kept with the others."""
    return _SECRET.fullmatch(variable) is not None


def become_password(host: str, values: Mapping[str, Any]) -> Password | None:
    """Return the password that sudo asks for on `host`, or None where the inventory names none.

    + values: the host's variables, as Ansible resolved them

    Raises UsageError for more than one of them, or a source that is none of `FORMS`.
    """
    given = {name: values[name] for name in STANDARD if values.get(name) is not None}
    source = values.get(SOURCE)
    if source is not None:
        if given:
            both = next(iter(given))
            raise UsageError(
                says(
                    en=f"host {host}: both {both} and {SOURCE} are set; keep one of them",
                    zh=f"主机 {host}：同时设置了 {both} 和 {SOURCE}；请只保留一个",
                )
            )
        return Password(host, f"{SOURCE}: {source}", _source(host, source))
    if not given:
        return None
    name, value = next(iter(given.items()))
    if any(other != value for other in given.values()):
        raise UsageError(
            says(
                en=f"host {host}: {' and '.join(given)} differ; keep one of them",
                zh=f"主机 {host}：{' 与 '.join(given)} 取值不同；请只保留一个",
            )
        )
    if not isinstance(value, str):
        # The value itself is not named: it may be the password.
        raise UsageError(
            says(
                en=f"host {host}: {name} is of type {type(value).__name__}; write it as text, in quotes",
                zh=f"主机 {host}：{name} 的类型为 {type(value).__name__}；请加引号写成文本",
            )
        )
    return Password(host, name, lambda: str(value))


def _source(host: str, source: Any) -> Callable[[], str]:
    kind, _, place = str(source).partition(":")
    match kind:
        case "credential" if re.fullmatch(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,254}", place):
            return lambda: _credential(host, place)
        case "keyring" if all(part for part in place.rpartition("/")):
            service, _, user = place.rpartition("/")
            return lambda: _keyring(host, service, user)
        case "file" if place.startswith(("/", "~/")):
            return lambda: _file(host, f"file:{place}", Path(place).expanduser(), 0o077)
    raise UsageError(
        says(
            en=f"host {host}: {SOURCE}: {source!r}; accepted: {FORMS} (an absolute path)",
            zh=f"主机 {host}：{SOURCE}: {source!r}；可用：{FORMS}（须为绝对路径）",
        )
    )


def _credential(host: str, name: str) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise _wrong(
            host,
            f"{SOURCE}: credential:{name}",
            says(
                en="CREDENTIALS_DIRECTORY is not set, so systemd has handed no credential over; "
                f"start medsec as a unit with LoadCredentialEncrypted={name}, or by systemd-run -p LoadCredential={name}:FILE",
                zh="未设置 CREDENTIALS_DIRECTORY，systemd 没有传入任何凭据；"
                f"请以带 LoadCredentialEncrypted={name} 的单元运行 medsec，或用 systemd-run -p LoadCredential={name}:FILE 启动",
            ),
        )
    # systemd lets the unit's user read it by an ACL, which shows as a group's right.
    return _file(host, f"credential:{name}", Path(folder) / name, 0o007)


def _file(host: str, source: str, path: Path, others: int) -> str:
    origin = f"{SOURCE}: {source}"
    try:
        with path.open("rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise _wrong(host, origin, _no_file(path))
            if facts.st_mode & others:
                raise _wrong(host, origin, _open_to_others(path, facts.st_mode))
            data = stream.read(_LONGEST * 4 + 2)
    except OSError as error:
        said = error.strerror or str(error)
        raise _wrong(
            host,
            origin,
            says(
                en=f"{path}: {said}; put the password there as one line",
                zh=f"{path}：{said}；请将口令写成该文件中的一行",
            ),
        ) from error
    return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


def _keyring(host: str, service: str, user: str) -> str:
    origin = f"{SOURCE}: keyring:{service}/{user}"
    try:
        import keyring  # noqa: PLC0415 - an optional dependency, needed by those who name it only
    except ImportError as error:
        raise _wrong(
            host,
            origin,
            says(
                en="the Python package keyring is not installed; pip install 'medsec[keyring]'",
                zh="未安装 Python 软件包 keyring；请执行 pip install 'medsec[keyring]'",
            ),
        ) from error
    try:
        found = keyring.get_password(service, user)
    except Exception as error:
        # A keyring's own backends raise many kinds; each means that there is no password to be had.
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise _wrong(
            host,
            origin,
            says(
                en=f"the keyring gives nothing ({said}); unlock it",
                zh=f"无法读取密钥环（{said}）；请先解锁",
            ),
        ) from error
    if found is None:
        raise _wrong(
            host,
            origin,
            says(
                en=f"the keyring has no such entry; keyring set {service} {user}",
                zh=f"密钥环中没有此条目；请执行 keyring set {service} {user}",
            ),
        )
    return str(found)


def _problem(value: str) -> Text | None:
    """Say what is wrong with a password, without showing it."""
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        return says(en="is not valid UTF-8; store it as UTF-8 text", zh="不是有效的 UTF-8；请以 UTF-8 文本保存")
    if not value:
        return says(en="is empty; set a password", zh="口令为空；请设置口令")
    if any(mark in value for mark in "\n\r\0"):
        return says(
            en="holds a line break or a NUL; store it as one line",
            zh="含有换行或 NUL 字符；请写成一行",
        )
    if length > _LONGEST:
        return says(
            en=f"is {length} bytes long; at most {_LONGEST} are accepted",
            zh=f"长度为 {length} 字节；最多 {_LONGEST} 字节",
        )
    return None


def _no_file(path: Path) -> Text:
    return says(
        en=f"{path} is no regular file; put the password there as one line",
        zh=f"{path} 不是普通文件；请将口令写成该文件中的一行",
    )


def _open_to_others(path: Path, mode: int) -> Text:
    return says(
        en=f"{path} has mode {stat.S_IMODE(mode):04o}, so others may read or change it; chmod 0600 {path}, and change the password",
        zh=f"{path} 权限为 {stat.S_IMODE(mode):04o}，他人可读或可改；请执行 chmod 0600 {path}，并更换口令",
    )


def _wrong(host: str, origin: str, problem: Text) -> UsageError:
    return UsageError(says(en=f"host {host}: {origin}: {problem.en}", zh=f"主机 {host}：{origin}：{problem.zh}"))
