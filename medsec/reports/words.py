"""The words of an inspection, in both languages. A word comes before any colour, and none needs more than GBK."""

from __future__ import annotations

from typing import Final

from medsec.catalogue.controls import Risk, Severity
from medsec.evidence.conclusion import ItemVerdict
from medsec.evidence.findings import Verdict
from medsec.text import Text, says

VERDICTS: Final[dict[Verdict, Text]] = {
    Verdict.PASS: says(en="pass", zh="符合"),
    Verdict.FAIL: says(en="fail", zh="不符合"),
    Verdict.WAIVED: says(en="waived", zh="已豁免"),
    Verdict.NOT_APPLICABLE: says(en="not applicable", zh="不适用"),
    Verdict.NOT_SELECTED: says(en="not selected", zh="未选用"),
    Verdict.ERROR: says(en="error", zh="无法判定"),
    Verdict.UNREACHABLE: says(en="unreachable", zh="不可达"),
}
ITEM_VERDICTS: Final[dict[ItemVerdict, Text]] = {
    ItemVerdict.CONFORMS: says(en="conforms", zh="符合"),
    ItemVerdict.PART_JUDGED: says(en="conforms as far as judged", zh="已核部分符合"),
    ItemVerdict.PARTLY: says(en="partly conforms", zh="部分符合"),
    ItemVerdict.VIOLATES: says(en="does not conform", zh="不符合"),
    ItemVerdict.NOT_APPLICABLE: says(en="not applicable", zh="不适用"),
    ItemVerdict.UNDETERMINED: says(en="undetermined", zh="无法判定"),
    ItemVerdict.NOT_COVERED: says(en="not covered", zh="未覆盖"),
}
SEVERITIES: Final[dict[Severity, Text]] = {
    "critical": says(en="grave", zh="重大"),
    "high": says(en="high", zh="高"),
    "medium": says(en="medium", zh="中"),
    "low": says(en="low", zh="低"),
}
RISKS: Final[dict[Risk, Text]] = {
    "none": says(en="none", zh="无"),
    "access": says(en="may lock people out", zh="可能影响登录"),
    "service": says(en="restarts a service", zh="会重启服务"),
    "reboot": says(en="needs a reboot", zh="需要重启主机"),
}
KINDS: Final[dict[str, Text]] = {
    "terminal": says(en="terminal", zh="终端"),
    "server": says(en="server", zh="服务器"),
    "db": says(en="database server", zh="数据库服务器"),
    "backup": says(en="backup server", zh="备份服务器"),
    "gateway": says(en="gateway", zh="网关"),
}
ITEM_CLASSES: Final[dict[str, Text]] = {
    "M": says(en="check by hand", zh="须人工核查"),
    "C": says(en="check by hand", zh="须人工核查"),
    "D": says(en="met by documents", zh="以制度和记录佐证"),
}
