"""Looks for databases, schemas, accounts and dumps that are named like test data, and for the ledger's reason to keep each."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from testinfra.host import Host

from medsec.errors import ProbeError, UsageError
from medsec.inventory import Params
from medsec.probes import data_names
from medsec.probes.data_names import Name
from medsec.text import Text, says

SERVERS = {"postgresql": data_names.of_postgresql, "mariadb": data_names.of_mariadb}


def check(host: Host, params: Params) -> None:
    kept = dict(_kept(params.kept))
    today, names = data_names.dumps(
        host, params.search_roots, params.search_depth, params.backup_homes, params.suffixes
    )
    # PostgreSQL's question depends on an answer and cannot be asked ahead: it comes last.
    for product in sorted(params.products):
        names = [*names, *_on_server(host, product)]
    assert params.products or params.kind != "db", says(
        en="the ledger registers no database product (`runs`) on this database server",
        zh="台账未登记该数据库服务器运行的数据库产品（runs）",
    )
    problems = [
        problem
        for name in names
        if _like_test_data(name, params.patterns)
        for problem in _problem(name, kept, today)
    ]
    shown = problems[:12]
    more = len(problems) - len(shown)
    assert not problems, says(
        en="; ".join(p.en for p in shown) + (f"; and {more} more" if more else ""),
        zh="；".join(p.zh for p in shown) + (f"；另有 {more} 处" if more else ""),
    )


def _kept(entries: list[Mapping[str, Any]]) -> Iterator[tuple[str, date]]:
    for entry in entries:
        wrong = UsageError(
            says(
                en=f"test_data_destroyed_kept: {entry!r} must have name, reason and until (YYYY-MM-DD)",
                zh=f"test_data_destroyed_kept：{entry!r} 须写明 name、reason 和 until（年-月-日）",
            )
        )
        if set(entry) != {"name", "reason", "until"} or not str(entry["reason"]).strip():
            raise wrong
        try:
            yield str(entry["name"]), date.fromisoformat(str(entry["until"]))
        except ValueError:
            raise wrong from None


def _on_server(host: Host, product: str) -> list[Name]:
    if product not in SERVERS:
        raise ProbeError(
            says(
                en=f"{product} cannot be asked for test data; examine it by hand, or leave the control out of `medsec_controls`",
                zh=f"无法查询 {product} 中的测试数据，请人工核查，或在 `medsec_controls` 中排除本控制项",
            )
        )
    names = SERVERS[product](host)
    assert names is not None, says(
        en=f"the ledger says that {product} runs here, and no such server is running",
        zh=f"台账登记本机运行 {product}，但没有正在运行的服务",
    )
    return names


def _like_test_data(name: Name, patterns: list[str]) -> bool:
    """Whatever parts the words of the name, `his-test`, `his.test` and `his test` are `his_test`."""
    words = re.sub(r"[-. ]", "_", name.name.lower())
    return any(
        fnmatch.fnmatchcase(told, pattern.lower()) for pattern in patterns for told in (name.name.lower(), words)
    )


def _problem(name: Name, kept: Mapping[str, date], today: date) -> Iterator[Text]:
    until = kept.get(name.label)
    if until is None:
        yield says(
            en=f"{name.label} is named like test data, and the ledger (test_data) gives no reason to keep it",
            zh=f"{name.label} 疑似测试数据，台账（test_data）未登记保留理由",
        )
    elif until < today:
        yield says(
            en=f"{name.label} was to be destroyed by {until}, and is still there",
            zh=f"{name.label} 应于 {until} 前销毁，至今仍在",
        )
