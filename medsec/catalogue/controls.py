"""Controls: one falsifiable claim about a host each, read from `roles/<family>/controls/<id>/`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from medsec.catalogue.source import Bilingual, Strict, parse_yaml, read_yaml, validate
from medsec.errors import UsageError
from medsec.text import says

Kind = Literal["terminal", "server", "db", "backup", "gateway"]
OsFamily = Literal["debian", "redhat"]
Severity = Literal["critical", "high", "medium", "low"]
Risk = Literal["none", "access", "service", "reboot"]
Proof = Literal["container", "vm", "file_only"]
ParameterType = Literal["bool", "int", "str", "list", "dict"]

_PYTHON_TYPES: dict[str, type] = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}


class Parameter(Strict):
    """A value that a site may differ in."""

    type: ParameterType
    doc: Bilingual
    default: Any = None
    choices: list[Any] | None = None
    minimum: int | None = None
    maximum: int | None = None
    elements: ParameterType | None = None
    # Where the ledger (台账) holds the value: "host.<field>" for a field of the host's entry, "<field>" for one of
    # the ledger itself. A value set in the inventory under the parameter's own variable still wins.
    ledger: str | None = None

    @model_validator(mode="after")
    def _default_fits(self) -> Parameter:
        if self.ledger is None:
            problem = self.problem_with(self.default)
            if problem:
                raise ValueError(f"default: {problem}")
        elif self.default is not None:
            raise ValueError("a parameter comes from the ledger or has a default, not both")
        return self

    def problem_with(self, value: Any) -> str | None:
        """Return what is wrong with `value` for this parameter, or None."""
        wanted = _PYTHON_TYPES[self.type]
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            return f"must be of type {self.type}, got {value!r} ({type(value).__name__})"
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}, got {value!r}"
        if isinstance(value, int) and self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum}, got {value!r}"
        if isinstance(value, int) and self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum}, got {value!r}"
        if isinstance(value, list) and self.elements is not None:
            for element in value:
                if not isinstance(element, _PYTHON_TYPES[self.elements]):
                    return f"each element must be of type {self.elements}, got {element!r}"
        return None


class AppliesTo(Strict):
    """The hosts that a control speaks of."""

    kinds: list[Kind] = Field(min_length=1)
    families: list[OsFamily] = Field(min_length=1)
    # A product that the ledger must declare in the host's `runs`. What the ledger declares and the host lacks is a
    # failure, never "not applicable": absence must not turn green.
    runs: str | None = None
    # A list of the host's ledger entry that must not be empty: what nobody registered is not spoken of, and is no pass.
    registers: (
        Literal["copied_to", "copies_of", "price_catalogue", "administrators", "collected_by", "collects_from"]
        | None
    ) = None


class Touches(Strict):
    """Everything that a remedy may change on a host; a trial proves that nothing else was changed.

    `files` and `records` are absolute paths; `*` matches within one path segment, `**` any depth. `records` are what the
    remedy leaves for good, a backup or evidence: nobody takes them back.
    """

    files: list[str] = Field(default_factory=list)
    records: list[str] = Field(default_factory=list)
    units: list[str] = Field(default_factory=list)
    packages: list[str] = Field(default_factory=list)
    accounts: list[str] = Field(default_factory=list)

    @field_validator("files", "records")
    @classmethod
    def _absolute(cls, files: list[str]) -> list[str]:
        for file in files:
            if not file.startswith("/"):
                raise ValueError(f"must be an absolute path, got {file!r}")
        return files


class Scenario(Strict):
    """A script that puts a host into a broken (`violate_*`) or a compliant (`comply_*`) state.

    Its first comment lines may say `# expect: <text of the failure>`, `# kind: <kind of host>`, `# lasting: <what of the
    remedy stays after a rollback>` (a backup that was made, a daemon that has read its settings: the check then passes) and
    `# with: <parameter>: <YAML value>`, the last for a state that needs a parameter other than its default; `{today}` in it
    is the date.
    """

    path: Path
    expect: str | None = None
    lasting: str | None = None
    kind: Kind | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def violates(self) -> bool:
        return self.path.name.startswith("violate_")


class Control(Strict):
    """One falsifiable claim about a host, with its remedy."""

    id: str = Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")
    item: str = Field(pattern=r"^[A-Z]{2}-[0-9]{2}$")
    title: Bilingual
    why: Bilingual
    impact: Bilingual
    severity: Severity
    applies_to: AppliesTo
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    touches: Touches = Field(default_factory=Touches)
    risk: Risk
    proof: Proof
    enforce: bool = True
    # The remedy comes after all others, since it looks at what they may install (a new service's logs, say).
    late: bool = False
    # Who must act where there is no remedy (`enforce: false`).
    who_acts: Bilingual | None = None
    # Filled by the loader, never written in control.yml.
    family: str
    home: Path

    @property
    def check_path(self) -> Path:
        return self.home / "check.py"

    @property
    def deploy_path(self) -> Path:
        return self.home / "deploy.py"

    @property
    def tasks_path(self) -> Path:
        return self.home / "tasks.yml"

    @property
    def scope_path(self) -> Path:
        """Where the control tells what it would change on a host, if its `touches` are more than could be copied."""
        return self.home / "scope.py"

    @cached_property
    def violations(self) -> tuple[Scenario, ...]:
        return tuple(_scenario(path) for path in sorted(self.home.glob("violate_*.sh")))

    @cached_property
    def compliances(self) -> tuple[Scenario, ...]:
        return tuple(_scenario(path) for path in sorted(self.home.glob("comply_*.sh")))

    def variable(self, parameter: str) -> str:
        """Return the inventory variable that sets `parameter`."""
        return f"{self.id}_{parameter}"


def _scenario(path: Path) -> Scenario:
    header: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        found = re.match(r"# (expect|kind|with|lasting): (.+)", line)
        if found and found.group(1) == "with":
            value = found.group(2).replace("{today}", date.today().isoformat())
            parameters |= parse_yaml(value, f"{path}: {line}")
        elif found:
            header[found.group(1)] = found.group(2).strip()
    return validate(Scenario, {"path": path, "parameters": parameters, **header}, str(path))


class Controls(Mapping[str, Control]):
    """All controls by id, in the order of their families and ids; late ones last."""

    def __init__(self, controls: Mapping[str, Control]) -> None:
        self._controls = dict(
            sorted(controls.items(), key=lambda entry: (entry[1].late, entry[1].family, entry[0]))
        )

    def __getitem__(self, control_id: str) -> Control:
        try:
            return self._controls[control_id]
        except KeyError:
            known = ", ".join(self._controls)
            raise UsageError(
                says(
                    en=f"unknown control {control_id!r}; known controls: {known}. `medsec controls` lists them",
                    zh=f"没有名为 {control_id!r} 的控制项；现有控制项：{known}。可用 `medsec controls` 查看",
                )
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._controls)

    def __len__(self) -> int:
        return len(self._controls)

    def __contains__(self, control_id: object) -> bool:
        return control_id in self._controls

    @property
    def families(self) -> dict[str, list[Control]]:
        families: dict[str, list[Control]] = {}
        for control in self.values():
            families.setdefault(control.family, []).append(control)
        return families


def load_controls(roles: Path) -> Controls:
    """Return all controls below the folder `roles`.

    Raises UsageError when a control is incomplete: a missing file, translation or violation, a `violate_*` without
    `# expect:`, a duplicate id, or an id that is not its folder's name.
    """
    controls: dict[str, Control] = {}
    for path in sorted(roles.glob("*/controls/*/control.yml")):
        control = load_control(path)
        if control.id in controls:
            other = controls[control.id].home / "control.yml"
            raise UsageError(
                says(
                    en=f"{path}: the control id {control.id!r} is taken by {other}; give one of them another id",
                    zh=f"{path}：控制项编号 {control.id!r} 已被 {other} 使用；请为其中之一另取编号",
                )
            )
        controls[control.id] = control
    if not controls:
        raise UsageError(
            says(
                en=f"{roles}: holds no control (expected <family>/controls/<id>/control.yml)",
                zh=f"{roles}：没有任何控制项（应为 <family>/controls/<id>/control.yml）",
            )
        )
    return Controls(controls)


def load_control(path: Path) -> Control:
    """Return the control that the file `path` (its control.yml) describes; raises UsageError when it is incomplete."""
    home = path.resolve().parent
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise UsageError(says(en=f"{path}: must be a mapping", zh=f"{path}：应为映射（mapping）"))
    control = validate(Control, {**value, "family": home.parent.parent.name, "home": home}, str(path))
    for problem in _gaps(control):
        raise UsageError(says(en=f"{path}: {problem}", zh=f"{path}：控制项不完整：{problem}"))
    return control


def _gaps(control: Control) -> Iterator[str]:
    if control.id != control.home.name:
        yield f"id {control.id!r} must be the folder's name, {control.home.name!r}"
    needed = [control.check_path]
    if control.enforce:
        needed += [control.tasks_path, control.deploy_path]
    elif control.who_acts is None:
        yield "enforce: false needs who_acts (who must act, in zh and en)"
    for file in needed:
        if not file.is_file():
            yield f"{file.name} is missing"
    if len(control.violations) < 2:
        yield f"needs at least two violate_*.sh, has {len(control.violations)}"
    if not control.compliances:
        yield "needs at least one comply_*.sh"
    for scenario in control.violations:
        if not scenario.expect:
            yield f"{scenario.path.name} must say `# expect: <text of the failure>` in its first lines"
