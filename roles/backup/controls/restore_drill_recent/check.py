"""Reads the chain of drills that the host keeps: the newest must have passed, not long ago, and nobody may have touched it."""

from __future__ import annotations

from collections.abc import Iterator

from testinfra.host import Host

from medsec.inventory import Params
from medsec.probes.drills import Drills, drills
from medsec.text import Text, says

KEPT = "/var/lib/medsec/drills"
DAY = 86400


def check(host: Host, params: Params) -> None:
    assert params.products, says(
        en="the ledger registers no database product (`runs`) on this database server",
        zh="台账未登记该数据库服务器运行的数据库产品（runs）",
    )
    found = drills(host, KEPT, params.products)
    problems = [
        says(en=f"{product}: {problem.en}", zh=f"{product}：{problem.zh}")
        for product, kept in found.items()
        for problem in _of_product(product, kept, params)
    ]
    assert not problems, says(en="; ".join(p.en for p in problems), zh="；".join(p.zh for p in problems))


def _of_product(product: str, found: Drills, params: Params) -> Iterator[Text]:
    if not found.kept:
        yield says(
            en=f"no restore drill is on record in {KEPT}/{product}", zh=f"{KEPT}/{product} 中没有恢复演练记录"
        )
        return
    broken = next((drill for drill in found.kept if drill.problem), None)
    if broken is not None:
        yield says(
            en=f"the record {broken.file} cannot be believed: {broken.problem}",
            zh=f"演练记录 {broken.file} 不可信：{broken.problem}",
        )
        return
    # One way of backing up that works proves nothing of another that does not.
    failed = {way: drill for way, drill in found.newest.items() if drill.outcome != "passed"}
    for way, drill in failed.items():
        en, zh = ("", "") if way == product else (f" of {way}", f"{way} ")
        yield says(
            en=f"the last drill{en}, {drill.file}, did not pass: {drill.outcome}",
            zh=f"最近一次{zh}演练 {drill.file} 未通过（{drill.outcome}）",
        )
    if failed:
        return
    last = max(found.newest.values(), key=lambda drill: drill.finished)
    days = (found.now - last.finished) / DAY
    if days > params.max_age_days:
        yield says(
            en=f"the last passed drill is {days:.0f} days old, {params.max_age_days} at most",
            zh=f"最近一次通过的演练距今 {days:.0f} 天，超过 {params.max_age_days} 天",
        )
    elif days < -1 / 24:
        yield says(en=f"{last.file} is dated in the future", zh=f"{last.file} 的时间晚于当前时间，不可信")
