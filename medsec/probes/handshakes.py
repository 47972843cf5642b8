"""What a server offers in TLS handshakes that are made with it on its own host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from medsec.errors import ProbeError
from medsec.text import Text, says

# `offers S_CLIENT-OPTION...` makes three handshakes: as a client of today, with protocols before 1.2, and with ciphers that are none.
# `guards KEY-FILE` tells who may read a key.
ASK = r"""
offers() {
  command -v openssl > /dev/null && command -v timeout > /dev/null || { printf 'tls\tmissing\topenssl\n'; return; }
  shake() { echo | timeout 10 openssl s_client "$@" 2>&1; }
  said=$(shake "$@")
  printf '%s\n' "$said" | sed -n 's/^New, \([^,]*\), Cipher is /tls\tgood\t\1\t/p'
  printf '%s\n' "$said" | openssl x509 -noout -dates 2> /dev/null | sed 's/^/tls\t/; s/=/\t/'
  shake "$@" -min_protocol TLSv1 -max_protocol TLSv1.1 -cipher ALL:@SECLEVEL=0 | sed -n 's/^New, .*Cipher is /tls\told\t/p'
  shake "$@" -min_protocol TLSv1 -max_protocol TLSv1.2 -cipher eNULL:aNULL:LOW:EXPORT:RC4:3DES:@SECLEVEL=0 | sed -n 's/^New, .*Cipher is /tls\tweak\t/p'
  date +tls%tnow%t%s
}
guards() { stat -L --printf 'tls\tkey\t%a\t%n\n' -- "$1" || printf 'tls\tkey\tgone\t%s\n' "$1"; }
"""
_NONE = "(NONE)"
_MODERN = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True)
class Offer:
    """What came of the handshakes: what was agreed on, "" for none; when the certificate holds; who may read its key."""

    protocol: str
    cipher: str
    # What was agreed on where the client knew nothing better.
    old: str
    weak: str
    begins: datetime | None
    ends: datetime | None
    # By the host's own clock.
    now: datetime
    # Octal mode of the key's file, "gone" where there is none, and its path; "" where the server has none.
    key_mode: str
    key: str

    def shortcomings(self, days: int) -> Iterator[Text]:
        """Say everything by which the offer is not a good one; its certificate must hold for another `days` days."""
        if not self.protocol or self.ends is None or self.begins is None:
            yield says(en="it offers no TLS: a handshake with it came to nothing", zh="未提供 TLS：实测握手未成功")
            return
        if self.protocol not in _MODERN:
            yield says(en=f"it agrees on {self.protocol} at best", zh=f"协商到的最高协议仅为 {self.protocol}")
        if self.old:
            yield says(
                en=f"it agreed on a protocol before TLS 1.2 when that was tried ({self.old})",
                zh=f"实测：接受低于 TLS 1.2 的协议（{self.old}）",
            )
        if self.weak:
            yield says(
                en=f"it agreed on the weak cipher {self.weak} when that was tried",
                zh=f"实测：接受弱加密套件 {self.weak}",
            )
        if self.ends - self.now <= timedelta(days=days) or self.begins > self.now:
            yield says(
                en=f"the certificate that it shows holds from {self.begins:%Y-%m-%d} to {self.ends:%Y-%m-%d}, and must hold for {days} days from now on",
                zh=f"其证书有效期为 {self.begins:%Y-%m-%d} 至 {self.ends:%Y-%m-%d}，剩余应多于 {days} 天",
            )
        if self.key_mode == "gone":
            yield says(
                en=f"the key {self.key} is not there any more: after a restart it offers no TLS",
                zh=f"私钥文件 {self.key} 已不存在：重启后将无法提供 TLS",
            )
        elif self.key_mode and int(self.key_mode, 8) & 0o7:
            yield says(
                en=f"everybody on the host may use the key {self.key} (mode {self.key_mode})",
                zh=f"本机任何用户均可访问私钥 {self.key}（权限 {self.key_mode}）",
            )


def parse(rows: Iterable[Sequence[str]], server: str) -> Offer:
    """Return the offer that the rows `offers` and `guards` print tell of, their first word left out.

    Raises ProbeError where openssl is missing, or where it did not reach the server that is called `server`.
    """
    found = {row[0]: list(row[1:]) for row in rows}
    if "missing" in found or not {"good", "old", "weak", "now"} <= set(found):
        missing = "openssl" if "missing" in found else ""
        raise ProbeError(
            says(
                en=f"{server}: no TLS handshake could be tried: {'no ' + missing if missing else 'it was not reached'}; install openssl, or look at its address",
                zh=f"{server}：无法进行 TLS 握手实测：{'缺少 ' + missing if missing else '未能连接'}；请安装 openssl 或检查监听地址",
            )
        )
    protocol, cipher = found["good"]
    key_mode, key = found.get("key", ["", ""])
    return Offer(
        protocol="" if cipher == _NONE else protocol,
        cipher="" if cipher == _NONE else cipher,
        old="" if found["old"][0] == _NONE else found["old"][0],
        weak="" if found["weak"][0] == _NONE else found["weak"][0],
        begins=_time(found.get("notBefore")),
        ends=_time(found.get("notAfter")),
        now=datetime.fromtimestamp(int(found["now"][0]), UTC),
        key_mode=key_mode,
        key=key,
    )


def _time(said: Sequence[str] | None) -> datetime | None:
    """Return the time in what `openssl x509 -dates` prints, `Nov 19 05:48:52 2036 GMT`."""
    return datetime.strptime(said[0], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC) if said else None
