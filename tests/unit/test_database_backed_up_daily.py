"""What the check of daily backups makes of timers, of files and of what servers hold."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

from medsec.probes.backups import Artefact, Held, Timer
from medsec.resources import root

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
DAY = 86400
PARAMS = SimpleNamespace(max_age_hours=26, size_tolerance_pct=50, window_days=0)
TIMER = Timer(
    name="t.timer",
    load="loaded",
    active="active",
    enabled="enabled",
    next_run=NOW + 3600,
    service="t.service",
    service_load="loaded",
    service_result="success",
    service_runs="",
    service_skipped=False,
    runs=tuple(NOW + 3600 + day * DAY for day in range(9)),
    now=NOW,
)


@pytest.fixture(scope="module")
def check() -> ModuleType:
    path = root() / "roles/backup/controls/database_backed_up_daily/check.py"
    spec = importlib.util.spec_from_file_location("database_backed_up_daily", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"runs": ()}, ""),  # a site's timer that counts from its last run
        ({"runs": (NOW + 3600, NOW + 3600 + 31 * DAY)}, "up to 744 hours lie between two runs"),
        ({"runs": (NOW + 3600, NOW + DAY, NOW + 4 * DAY)}, "up to 72 hours lie between two runs"),
        ({"service_skipped": True}, "was passed over"),
    ],
)
def test_a_timer_is_judged_by_all_its_runs(check: ModuleType, change: dict[str, object], expected: str) -> None:
    told = "; ".join(text.en for text in check._of_timer(dataclasses.replace(TIMER, **change), PARAMS))  # type: ignore[arg-type]
    assert expected in told and bool(told) is bool(expected)


@pytest.mark.parametrize(
    ("path", "written", "expected"),
    [
        ("/b/mariadb/20270115T070000Z/mysql.sql.gz", NOW - 3600, ""),
        # Made in summer, copied or touched an hour ago.
        ("/b/mariadb/20260701T070000Z/mysql.sql.gz", NOW - 3600, "hours old"),
        ("/b/mariadb/20290101T000000Z/mysql.sql.gz", NOW - 3600, "is dated in the future"),
        ("/srv/his-20260701.dump", NOW - 3600, ""),
        ("/srv/his-20260701.dump", NOW - 3 * DAY, "72 hours old"),
    ],
)
def test_a_backup_is_as_old_as_its_name_says(check: ModuleType, path: str, written: float, expected: str) -> None:
    told = "; ".join(text.en for text in check._of_files([Artefact(path, 9, written, None)], NOW, PARAMS))
    assert expected in told and bool(told) is bool(expected)


def own_set(check: ModuleType, files: list[str], server: Held, *, exposed: bool = False) -> str:
    found = [Artefact(f"/b/postgresql/20270115T070000Z/{path}", 9, NOW, None, exposed) for path in files]
    return "; ".join(text.en for text in check._of_own_set(found, server, "postgresql"))


def test_a_set_holds_every_database_and_the_accounts(check: ModuleType) -> None:
    whole = ["15-main/globals.sql", "15-main/his.dump", "15-main/his.dump.manifest"]
    held = Held(["15-main/his"], [])
    assert own_set(check, whole, held) == ""
    assert "every account of the host may read" in own_set(check, whole, held, exposed=True)
    assert "the accounts of 15-main (globals.sql)" in own_set(check, whole[1:], held)
    assert "database 15-main/lis is not in" in own_set(check, whole, Held(["15-main/his", "15-main/lis"], []))
    assert "the server of /home/li/pg is not backed up" in own_set(
        check, whole, Held(["15-main/his"], ["/home/li/pg"])
    )
