"""pyinfra's state for a job: hosts, logins, and a stricter reading of failed facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import BaseStateCallback, StateOperationHostData, StateStage
from pyinfra.context import ctx_inventory, ctx_state

from medsec.engines import pyinfra_logins


class Follower(Protocol):
    """Somebody who follows one host's operations."""

    def report(self) -> None:
        """Tell of the operations that have ended."""

    def foresee(self, op_hash: str, data: StateOperationHostData) -> None:
        """Say what a prepared operation would do."""


class JobState(State):
    """A state in which a fact that cannot be had fails its control at once, where pyinfra goes on with a default."""

    def __init__(self, inventory: Inventory, config: Config, *, plan: bool) -> None:
        super().__init__(inventory, config, check_for_changes=plan)
        self.followers: dict[Host, Follower] = {}
        self.plan = plan
        self.is_executing = not plan
        self.set_stage(StateStage.Prepare if plan else StateStage.Execute)
        self.callback_handlers.append(_Callbacks())

    def fail_hosts(self, hosts_to_fail: set[Host], activated_count: int | None = None) -> None:
        if hosts_to_fail:
            raise PyinfraError("the host's state could not be read")

    def set_op_data_for_host(self, host: Host, op_hash: str, op_data: StateOperationHostData) -> None:
        super().set_op_data_for_host(host, op_hash, op_data)
        if self.plan:
            self.followers[host].foresee(op_hash, op_data)


class _Callbacks(BaseStateCallback):
    """Tells of an operation when the next one starts: pyinfra completes its record only after its own callbacks."""

    @staticmethod
    def operation_host_start(state: State, host: Host, op_hash: str) -> None:
        assert isinstance(state, JobState)
        state.followers[host].report()


def job_state(job: dict[str, Any], folder: Path) -> JobState:
    """Return the state for `job`; `folder` takes the files that it needs and is removed after the run."""
    names = [(spec["name"], _data(spec["login"], job, folder)) for spec in job["hosts"]]
    plan = job["mode"] == "plan"
    config = Config(PARALLEL=job["forks"], CONNECT_TIMEOUT=job["seconds_to_connect"], SUDO=True, DIFF=plan)
    state = JobState(Inventory((names, {})), config, plan=plan)
    ctx_state.set(state)
    ctx_inventory.set(state.inventory)
    return state


def _data(login: dict[str, Any], job: dict[str, Any], folder: Path) -> dict[str, Any]:
    return pyinfra_logins.host_data(login, folder) | {"_timeout": job["seconds_per_task"]}
