"""The parameters in force for a host: a control's defaults, the ledger, and the inventory over both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medsec.catalogue.controls import Control
from medsec.errors import UsageError
from medsec.inventory.hosts import Host
from medsec.inventory.ledger import Ledger
from medsec.text import says


class Params(Mapping[str, Any]):
    """The parameters of one control for one host, by their short names: `params.minlen` or `params["minlen"]`."""

    def __init__(self, control: Control, values: Mapping[str, Any]) -> None:
        self._control = control
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"control {self._control.id} has no parameter {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def variable(self, name: str) -> str:
        """Return the inventory variable that sets the parameter `name`."""
        return self._control.variable(name)

    def variables(self) -> dict[str, Any]:
        """Return the values by their inventory variables, as templates of both engines see them."""
        return {self._control.variable(name): value for name, value in self._values.items()}


def effective(control: Control, host: Host, ledger: Ledger) -> Params:
    """Return the parameters of `control` in force for `host`.

    Order, later wins: the control's default, the ledger where the parameter names a ledger field, the inventory
    variable `<control>_<parameter>`. Ansible reaches the same values through the roles' generated defaults.
    Raises UsageError naming host, variable, value met and values accepted.
    """
    _refuse_unknown(control, host)
    values: dict[str, Any] = {}
    for name, parameter in control.parameters.items():
        variable = control.variable(name)
        if variable in host.variables:
            value = host.variables[variable]
        elif parameter.ledger is not None:
            value = _from_ledger(parameter.ledger, host, ledger)
        else:
            value = parameter.default
        problem = parameter.problem_with(value)
        if problem:
            raise UsageError(
                says(
                    en=f"host {host.name}: {variable} {problem}",
                    zh=f"主机 {host.name}：{variable} 取值有误：{problem}",
                )
            )
        values[name] = value
    return Params(control, values)


def _refuse_unknown(control: Control, host: Host) -> None:
    """A misspelt variable would silently leave the default in force."""
    known = {control.variable(name) for name in control.parameters}
    for variable in host.variables:
        if variable.startswith(f"{control.id}_") and variable not in known:
            accepted = ", ".join(sorted(known)) or "-"
            raise UsageError(
                says(
                    en=f"host {host.name}: {variable} is no parameter of {control.id}; accepted: {accepted}",
                    zh=f"主机 {host.name}：{control.id} 没有参数 {variable}；可用：{accepted}",
                )
            )


def _from_ledger(field: str, host: Host, ledger: Ledger) -> Any:
    owner: Any = ledger
    name = field
    if field.startswith("host."):
        owner, name = host.ledger, field.removeprefix("host.")
    return owner.model_dump(mode="json")[name]
