"""The judge: runs checks over hosts and gives verdicts. Nothing else does."""

from medsec.judge.judge import HostDone, RunResult, judge, stream
from medsec.judge.local import LocalTransport
from medsec.judge.ssh import SshTransport
from medsec.judge.transport import Limits, Transport

__all__ = ["HostDone", "Limits", "LocalTransport", "RunResult", "SshTransport", "Transport", "judge", "stream"]
