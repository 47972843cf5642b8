"""Running trials: a batch of cases, each on a fresh host of its own, judged and remedied together."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from medsec.catalogue.controls import Controls
from medsec.catalogue.patterns import matcher
from medsec.engines.base import EngineResult, Work
from medsec.engines.registry import engine
from medsec.errors import MedsecError
from medsec.evidence.findings import Finding, Verdict
from medsec.guard.guarding import HostGuard
from medsec.guard.rollback import rollback
from medsec.inventory import Inventory
from medsec.judge.judge import judge
from medsec.lab import Lab, LabHost
from medsec.text import Text, says
from medsec.trials import overlay, staging
from medsec.trials.cases import Case, Leg, Outcome

OnLeg = Callable[[Case, Leg], None]

# A trial's site has no waivers: what is waived there is what the scenario's ledger permits.
_HOLDS = (Verdict.PASS, Verdict.WAIVED)


def run(lab: Lab, controls: Controls, cases: Sequence[Case], on_leg: OnLeg | None = None) -> list[Outcome]:
    """Try `cases` on fresh hosts of `lab`, all at the same time, and return their outcomes in the same order.

    A case whose leg fails goes no further; the others do. The hosts are gone when this returns. Raises LabError when
    the lab itself does not work.
    """
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="medsec-trial-") as folder:
        batch = _Batch(lab, controls, Path(folder), on_leg or (lambda case, leg: None))
        stack.callback(batch.remove_hosts)
        batch.boot(cases)
        batch.stage()
        batch.load_inventory()
        batch.expect_staged_verdict()
        batch.remedy()
        batch.expect_pass()
        batch.expect_no_change()
        batch.expect_no_change(by_the_other=True)
        batch.compare_overlay()
        batch.roll_back()
        return [batch.outcomes[case] for case in cases]


class _Batch:
    """The cases of one run with their hosts; each method is a leg for all cases that are still in the running."""

    def __init__(self, lab: Lab, controls: Controls, folder: Path, on_leg: OnLeg) -> None:
        self.lab = lab
        self.controls = controls
        self.folder = folder
        self.on_leg = on_leg
        self.hosts: dict[Case, LabHost] = {}
        self.outcomes: dict[Case, Outcome] = {}
        self.inventory: Inventory | None = None
        self.before: dict[Case, overlay.Listing] = {}
        self.packages: dict[Case, set[str]] = {}
        # Files of installed packages that the control names: a remedy that removes a package takes them along.
        self.owned: dict[Case, set[str]] = {}

    @property
    def running(self) -> list[Case]:
        return [case for case, outcome in self.outcomes.items() if not outcome.failed]

    def _say(self, case: Case, name: Text, passed: bool, detail: str = "") -> None:
        leg = Leg(name, passed, detail)
        self.outcomes[case].legs.append(leg)
        self.on_leg(case, leg)

    def boot(self, cases: Sequence[Case]) -> None:
        self.outcomes = {case: Outcome(case) for case in cases}

        def start(case: Case) -> LabHost:
            return self.lab.add_host(
                f"t-{cases.index(case) + 1}",
                kind=staging.kind_of(case),
                zone="srv",
                layer=staging.layer_of(case),
                tier="vm" if case.control.proof == "vm" else "container",
            )

        emulated = any(case.control.proof == "vm" for case in cases)
        with ThreadPoolExecutor(max_workers=2 if emulated else 8) as pool:
            self.hosts = dict(zip(cases, pool.map(start, cases), strict=True))

    def remove_hosts(self) -> None:
        for host in self.hosts.values():
            self.lab.remove_host(host.name)

    def stage(self) -> None:
        """Put each host into its scenario's state."""

        def prepare(case: Case) -> tuple[int, str]:
            host = self.hosts[case]
            # A service that still starts would make the scenario another one; "degraded" counts as booted.
            host.run_as_root("systemctl is-system-running --wait >/dev/null", timeout=300)
            done = host.run_as_root(case.scenario.path.read_text(encoding="utf-8"), timeout=900)
            return done.returncode, (done.stderr or done.stdout)[-2000:]

        with ThreadPoolExecutor(max_workers=8) as pool:
            for case, (code, said) in zip(self.running, list(pool.map(prepare, self.running)), strict=True):
                self._say(case, says(en="staged", zh="布置场景"), code == 0, said if code else "")

    def load_inventory(self) -> None:
        hosts = {self.hosts[case].name: (case, self.hosts[case]) for case in self.running}
        if hosts:
            self.inventory = staging.write_inventory(self.folder, self.lab, hosts)

    def _judge(self, cases: Iterable[Case]) -> dict[Case, Finding]:
        by_host = {self.hosts[case].name: case for case in cases}
        if not by_host or self.inventory is None:
            return {}
        findings: dict[Case, Finding] = {}
        for control_id in sorted({case.control.id for case in by_host.values()}):
            names = [name for name, case in by_host.items() if case.control.id == control_id]
            hosts = [self.inventory.hosts[name] for name in names]
            result = judge(self.inventory, hosts, [self.controls[control_id]])
            findings |= {by_host[finding.host]: finding for finding in result.findings}
        return findings

    def expect_staged_verdict(self) -> None:
        for case, finding in self._judge(self.running).items():
            if case.scenario.violates:
                expected = case.scenario.expect or ""
                right = finding.verdict is Verdict.FAIL and expected in finding.text.en
                name = says(en="the check fails for the stated reason", zh="检查按预期原因判为不符合")
                self._say(
                    case, name, right, "" if right else f"{finding.verdict}: {finding.text} (expected: {expected})"
                )
            else:
                right = finding.verdict in _HOLDS
                name = says(
                    en="the check passes a state reached another way", zh="检查认可以其他方式达到的合规状态"
                )
                self._say(case, name, right, "" if right else f"{finding.verdict}: {finding.text}")
        for case in self.running:
            self.before[case] = self._listing(case)
            self.packages[case] = self._installed(case)
            named = self.packages[case] & set(case.control.touches.packages)
            self.owned[case] = set(self._files_of(case, named))

    def _by_engine(self, cases: Iterable[Case], by_the_other: bool) -> dict[str, list[Case]]:
        groups: dict[str, list[Case]] = {}
        for case in cases:
            if case.control.enforce:
                groups.setdefault(case.other_engine if by_the_other else case.engine, []).append(case)
        return groups

    def _work(self, cases: Iterable[Case]) -> Work:
        if self.inventory is None:
            raise ValueError("no inventory was written for these cases")
        todo = {self.hosts[case].name: [case.control.id] for case in cases}
        return Work(self.inventory, self.controls, todo, "apply")

    def _run(self, name: str, work: Work, group: list[Case]) -> dict[Case, EngineResult]:
        try:
            result = engine(name).run(work, lambda event: None)
        except MedsecError as error:
            for case in group:
                self._say(case, says(en=f"{name} runs", zh=f"{name} 运行"), False, str(error))
            return {}
        return dict.fromkeys(group, result)

    def _apply(self, cases: Iterable[Case], by_the_other: bool) -> dict[Case, EngineResult]:
        results: dict[Case, EngineResult] = {}
        for name, group in self._by_engine(cases, by_the_other).items():
            results |= self._run(name, self._work(group), group)
        return results

    def _apply_guarded(self, cases: Iterable[Case]) -> dict[Case, EngineResult]:
        """As an operator applies it: saved, armed where it is risky, access proved, recorded."""
        results: dict[Case, EngineResult] = {}
        for name, group in self._by_engine(cases, False).items():
            work = self._work(group)
            guard = HostGuard(work.inventory, partial(self._run_folder, name), name, forks=len(group))
            risky = any(case.control.risk == "access" for case in group)
            with guard.hold(list(work.todo)) as untaken, guard.around(work, risky=risky) as protection:
                refused = {**untaken, **protection.refused}
                safe = [case for case in group if self.hosts[case].name not in refused]
                results |= self._run(name, self._work(safe), safe) if safe else {}
            kept_out = {**refused, **protection.reverted}
            for case in group:
                problem = kept_out.get(self.hosts[case].name)
                self._say(case, says(en="the guard holds", zh="保护生效"), problem is None, str(problem or ""))
        return {case: result for case, result in results.items() if not self.outcomes[case].failed}

    def _run_folder(self, engine_name: str) -> Path:
        return self.folder / f"run-{engine_name}"

    def remedy(self) -> None:
        for case, result in self._apply_guarded([case for case in self.running if case.scenario.violates]).items():
            outcome = result.outcomes[self.hosts[case].name, case.control.id]
            right = outcome.finished and outcome.failed is None and outcome.changed > 0
            detail = outcome.failed or f"changed {outcome.changed}, finished {outcome.finished}"
            self._say(
                case, says(en=f"{case.engine} remedies", zh=f"{case.engine} 整改"), right, "" if right else detail
            )

    def expect_pass(self) -> None:
        enforced = [case for case in self.running if case.scenario.violates and case.control.enforce]
        for case, finding in self._judge(enforced).items():
            right = finding.verdict in _HOLDS
            name = says(en="the check passes", zh="检查判为符合")
            self._say(case, name, right, "" if right else f"{finding.verdict}: {finding.text}")

    def expect_no_change(self, by_the_other: bool = False) -> None:
        for case, result in self._apply(self.running, by_the_other).items():
            outcome = result.outcomes[self.hosts[case].name, case.control.id]
            tool = case.other_engine if by_the_other else case.engine
            right = outcome.finished and outcome.failed is None and outcome.changed == 0
            detail = outcome.failed or f"changed {outcome.changed}, finished {outcome.finished}"
            name = says(en=f"{tool} finds nothing left to do", zh=f"{tool} 再次执行无变更")
            self._say(case, name, right, "" if right else detail)

    def compare_overlay(self) -> None:
        """Prove from the overlay that nothing outside `touches` was changed; a compliant host must not change at all."""
        for case in self.running:
            touches = case.control.touches
            after = self._listing(case)
            paths = [
                path
                for path in overlay.changed(self.before[case], after)
                if not self._as_in_image(case, path, after)
            ]
            added = self._installed(case) - self.packages[case]
            packaged = self.owned[case] | set(self._files_of(case, added))
            stray = overlay.untold(paths, touches, frozenset(packaged))
            if not case.scenario.violates:
                stray = paths
            name = says(en="nothing changed outside `touches`", zh="未改动 touches 之外的内容")
            self._say(case, name, not stray, ", ".join(stray[:20]))

    def roll_back(self) -> None:
        """Take the remedy back: every byte, mode and owner as before, units as before, and the check fails again."""
        remedied = [case for case in self.running if case.scenario.violates and case.control.enforce]
        for name, group in self._by_engine(remedied, False).items():
            work = self._work(group)
            # Later passes of the engines, which change nothing, may have touched files all the same.
            done = {
                rolled.host: rolled
                for rolled in rollback(work.inventory, self._run_folder(name), hosts=list(work.todo), forks=8)
            }
            for case in group:
                problem = done[self.hosts[case].name].problem
                self._say(case, says(en="rolls back", zh="可回退"), problem is None, str(problem or ""))
        for case in [case for case in remedied if not self.outcomes[case].failed]:
            strange = self._not_restored(case)
            name = says(en="everything is as it was, to the byte", zh="逐字节恢复原状")
            self._say(case, name, not strange, ", ".join(strange[:20]))
        for case, finding in self._judge([case for case in remedied if not self.outcomes[case].failed]).items():
            if case.scenario.lasting is not None:
                continue
            right = finding.verdict is Verdict.FAIL
            name = says(en="the check fails again", zh="检查再次判为不符合")
            self._say(case, name, right, "" if right else f"{finding.verdict}: {finding.text}")

    def _image(self, case: Case, paths: Iterable[str]) -> overlay.Listing:
        host = self.hosts[case]
        layers = host.place.images.lower(host.spec) if host.spec.tier == "container" else ()
        return overlay.image_marks(paths, layers)

    def _as_in_image(self, case: Case, path: str, after: overlay.Listing) -> bool:
        """A folder lies in the upper folder as it was, because something in it came and went."""
        return path not in self.before[case] and after.get(path) == self._image(case, [path])[path]

    def _not_restored(self, case: Case) -> list[str]:
        before, after = self.before[case], self._listing(case)
        image = self._image(case, {*before, *after})
        records = [matcher(pattern) for pattern in case.control.touches.records]
        return [
            f"{path} ({marks})"
            for path, marks in overlay.not_restored(before, after, image).items()
            if not f"{path}/".startswith("/var/lib/medsec/")
            and not any(record.fullmatch(path) for record in records)
        ]

    def _listing(self, case: Case) -> overlay.Listing:
        host = self.hosts[case]
        if host.spec.tier == "container":
            return overlay.listing(host.upper)
        # A virtual machine has no overlay that this machine could read: it is asked for its files.
        return overlay.told(host.run_as_root(overlay.TELL, timeout=300).stdout)

    def _installed(self, case: Case) -> set[str]:
        done = self.hosts[case].ssh(
            "dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' | grep '^ii' | cut -d' ' -f2-"
        )
        return {line.strip() for line in done.stdout.splitlines()}

    def _files_of(self, case: Case, packages: set[str]) -> list[str]:
        if not packages:
            return []
        files = self.hosts[case].ssh(f"dpkg -L {' '.join(sorted(packages))}").stdout.splitlines()
        # Packages still name /lib, /bin and /sbin, which are links to their like below /usr.
        return [re.sub(r"^/(lib|lib64|bin|sbin)/", r"/usr/\1/", file) for file in files]
