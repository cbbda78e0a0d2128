"""What the agent reaches outside its own folder, as parameters: a test gives others."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flyback.agent.metadata import Metadata
from flyback.agent.options import Options
from flyback.errors import UserError
from flyback.store.open import open_store
from flyback.store.protocol import Store

if TYPE_CHECKING:
    from flyback.aws.session import Session

__all__ = ["LogSink", "Services", "connect"]


class LogSink(Protocol):
    """The two calls of CloudWatch Logs that the agent makes; `flyback.aws.logs.Logs` has them."""

    def create_stream(self, group: str, stream: str) -> None:
        """Create a stream; one that exists is taken as it is."""
        ...

    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Send lines, each with its time in milliseconds since the epoch, in time order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The outside world.

    Args:
        store: Holds the run.
        open_store: URL → store, for inputs that lie elsewhere.
        logs: Makes the log sink; called only for a run with a log group.
        secret: Reference → value.
        power_off: Switches the machine off.
        metadata: The instance metadata service; asked only on EC2.
        rearm: Sets the machine's own timer by its deadline tag; whether it is set.
        armed: What that timer was last to be set by, seconds since the epoch; None: nobody knows.
        environ: Environment that the job's own is built on.
    """

    store: Store
    open_store: Callable[[str], Store]
    logs: Callable[[], LogSink]
    secret: Callable[[str], str]
    power_off: Callable[[], None]
    metadata: Metadata
    rearm: Callable[[], bool] = lambda: True
    armed: Callable[[], float | None] = lambda: None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def connect(options: Options) -> Services:
    """The real ones; nothing of boto3 is loaded before it is needed."""

    @functools.cache
    def session() -> Session:
        from flyback.aws.session import Session

        return Session()

    return Services(
        store=open_store(options.store),  # the region is in the environment, put there at boot
        open_store=open_store,
        logs=lambda: session().logs,
        secret=lambda reference: _secret(session(), reference),
        power_off=_power_off,
        metadata=Metadata.from_environment(os.environ),
        rearm=functools.partial(_rearm, options.root.parent / "boot.py"),
        armed=functools.partial(_armed, options.root.parent / "deadline"),
    )


def _secret(session: Session, reference: str) -> str:
    kind, _, name = reference.partition(":")
    if kind == "ssm" and name:
        return session.parameters.get(name)
    if kind == "secretsmanager" and name:
        return session.secrets.get(name)
    raise UserError(
        f"{reference!r} is no reference to a secret",
        where="secrets",
        remedy="write ssm:/flyback/name or secretsmanager:flyback/name",
    )


def _rearm(boot: Path) -> bool:
    """Let the boot program do what it did at boot: keep the tag's deadline, and set the timer."""
    try:
        ended = subprocess.run(["python3", str(boot), "lease"], check=False)  # noqa: S607  # the machine's own
    except OSError:
        return False
    return ended.returncode == 0


def _armed(kept: Path) -> float | None:
    """The deadline that the boot program kept."""
    try:
        return float(int(kept.read_text()))
    except (OSError, ValueError):
        return None


def _power_off() -> None:
    # by name: a rehearsed machine has a `shutdown` of its own first on its PATH
    subprocess.run(["shutdown", "-h", "now"], check=False)  # noqa: S607  # see above
