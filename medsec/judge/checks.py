"""Running one control's check on one connected host."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from medsec.catalogue.controls import Control
from medsec.errors import HostUnreachable, Spared
from medsec.evidence.findings import Verdict
from medsec.evidence.plain import plain, plain_text
from medsec.inventory.effective import Params
from medsec.judge.recording import ConnectedHost
from medsec.text import Text, says

Check = Callable[[ConnectedHost, Params], None]

_loaded: dict[Path, Check] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What a check came to: pass, fail, error or unreachable, and why."""

    verdict: Verdict
    text: Text
    # Accounts but for which the control would pass; see `medsec.inventory.waivers`.
    spared: tuple[str, ...] = ()


def evaluate(control: Control, host: ConnectedHost, params: Params, *, seconds: float | None = None) -> Outcome:
    """Run the check of `control` on `host` and return what it came to; it never raises.

    Only AssertionError is `fail`. Everything else that is raised is `error` (`unreachable` where the connection was
    lost), and so is a check that asked the host nothing, returned a value, or went on after a command gave no answer.
    `seconds` limits the commands of the check in all. The evidence is in `host.backend.records`.
    """
    recorder = host.backend
    recorder.begin(seconds)
    try:
        returned: Any = load_check(control)(host, params)
    except BaseException as error:  # noqa: BLE001 - also SystemExit and pytest's own: none of them proves anything
        return _from_exception(error, recorder.broken)
    if recorder.broken is not None:
        return _not_proven(recorder.broken)
    if returned is not None:
        return Outcome(Verdict.ERROR, _returned(control, returned))
    if not recorder.records:
        return Outcome(Verdict.ERROR, _asked_nothing(control))
    return Outcome(Verdict.PASS, says(en="as required", zh="符合要求"))


def _from_exception(error: BaseException, broken: Exception | None) -> Outcome:
    if isinstance(error, AssertionError) and broken is None and not _from_testinfra(error):
        return Outcome(Verdict.FAIL, _reason(error), error.accounts if isinstance(error, Spared) else ())
    return _not_proven(broken or error)


def load_check(control: Control) -> Check:
    """Return the function `check` of the control's `check.py`.

    It is compiled with its assertions whatever `python -O` says, since without them every check would pass.
    """
    with _loading:
        path = control.check_path
        if path not in _loaded:
            module = ModuleType(f"medsec_checks.{control.id}")
            module.__file__ = str(path)
            sys.modules[module.__name__] = module
            code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True, optimize=0)
            exec(code, module.__dict__)
            _loaded[path] = module.check
        return _loaded[path]


def _not_proven(error: BaseException) -> Outcome:
    verdict = Verdict.UNREACHABLE if isinstance(error, HostUnreachable) else Verdict.ERROR
    return Outcome(verdict, _told(error))


def _told(error: BaseException) -> Text:
    """Say what was raised, in both languages."""
    met = error.args[0] if error.args else None
    if isinstance(met, Text):
        return plain_text(met)
    reason = plain(str(error)).strip() or "no reason given"
    place = _place(error)
    return says(
        en=f"the check could not be carried out: {type(error).__name__}: {reason}{place}",
        zh=f"检查未能完成：{type(error).__name__}：{reason}{place}",
    )


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/roles/" in frame.filename or "/probes/" in frame.filename]
    if not own:
        return ""
    return f" ({'/'.join(Path(own[-1].filename).parts[-2:])}:{own[-1].lineno})"


def _reason(error: AssertionError) -> Text:
    met = error.args[0] if error.args else None
    if isinstance(met, Text):
        return plain_text(met)
    reason = plain(str(error)).strip() or f"the condition does not hold{_place(error)}"
    return says(en=reason, zh=reason)


def _from_testinfra(error: AssertionError) -> bool:
    """Tell whether Testinfra itself asserted, about an answer it did not expect: that is no claim of the control."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__", "")).startswith("testinfra.")


def _returned(control: Control, value: Any) -> Text:
    return says(
        en=f"the check of {control.id} returned {value!r:.80}; a check asserts and returns nothing, so it proved nothing",
        zh=f"控制项 {control.id} 的检查返回了 {value!r:.80}；检查应以断言表达且不返回值，故未证明任何事",
    )


def _asked_nothing(control: Control) -> Text:
    return says(
        en=f"the check of {control.id} ran no command on the host, so it proved nothing",
        zh=f"控制项 {control.id} 的检查未在主机上执行任何命令，故未证明任何事",
    )
