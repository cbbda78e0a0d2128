"""Processes that each go on from one prepared cloud: no case pays for the way there."""

from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from flyback.api.wiring import Cloud, local_home
from flyback.aws.ledger import FileLedger, Ledger
from flyback.aws.listings import LISTINGS
from flyback.aws.session import Access, Session

C = TypeVar("C")
SERVICES = (
    "cloudformation",
    "ec2",
    "iam",
    "logs",
    "resourcegroupstaggingapi",
    "s3",
    "scheduler",
    "service-quotas",
    "sns",
    "ssm",
    "sts",
)


class Mortal(Protocol):
    """A process that may end at any of its requests."""

    def before(self) -> None:
        """A request is about to be sent."""

    def after(self) -> None:
        """A request has been answered."""


class Immortal:
    """A process that does not."""

    def before(self) -> None:
        """Goes on."""

    def after(self) -> None:
        """Goes on."""


class Line:
    """boto3 clients in one cloud: to make them takes longer than most commands.

    They call the front in this process; sockets have tests of their own. One process after the
    other has them.

    Args:
        cloud: The cloud.
        access: Whose; None takes the cloud's own client's.
    """

    def __init__(self, cloud: Cloud, access: Access | None = None) -> None:
        assert cloud.emulated is not None
        self._whose: Mortal = Immortal()
        self._made = Session(access or cloud.session._access, cloud.ledger)
        events = self._made._boto._session
        events.register("before-send", lambda **_: self._whose.before())
        cloud.emulated.clients.carry(events)
        events.register("response-received", lambda **_: self._whose.after())
        for service in {*SERVICES, *(listing.service for listing in LISTINGS)}:
            self._made.client(service)

    def session(self, whose: Mortal, ledger: Ledger) -> Session:
        """A session of its own for a process that begins now; earlier ones are over."""
        self._whose = whose
        session = Session(self._made._access, ledger)
        session._boto = self._made._boto
        session._clients = self._made._clients
        self._made.calls = session.calls
        self._made.witness = lambda *seen: session.witness(*seen) if session.witness else None
        return session

    def sign(self, access: Access) -> None:
        """From now on with these keys."""
        keys = self._made._boto._session.get_credentials()
        keys.access_key, keys.secret_key = access.access_key, access.secret_key
        keys.token = access.session_token


class Copies(Generic[C]):
    """Processes that each go on from here with a cloud, and a local home, of their own.

    Args:
        cloud: At rest: nobody waits on its clock.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._home = local_home()
        self._copies = self._home.with_name("copies")
        self._running: dict[int, tuple[C, Path]] = {}
        self._begun = 0

    def each(self, cases: Sequence[C], work: Callable[[C], str]) -> Iterator[tuple[C, str]]:
        """Do the work for each case; what it says, in the order in which they end."""
        gc.collect()
        gc.freeze()  # or every copy's first collection would copy the memory too
        try:
            for case in cases:
                if len(self._running) >= len(os.sched_getaffinity(0)):
                    yield self._ended()
                self._start(case, work)
            while self._running:
                yield self._ended()
        finally:
            gc.unfreeze()

    def _start(self, case: C, work: Callable[[C], str]) -> None:
        clock = self.cloud.emulated.clock if self.cloud.emulated else None
        assert clock is not None
        self._begun += 1
        home = self._copies / str(self._begun)
        shutil.copytree(self._home, home, symlinks=True)
        sys.stdout.flush()
        # The other threads of this process, the clock's and the server's, wait and hold nothing.
        with clock._changed, warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pid = os.fork()
        if pid:
            self._running[pid] = (case, home)
            return
        told = "its process died"
        try:
            told = self._go_on(home, lambda: work(case))
        except BaseException:  # noqa: BLE001  # the case's failure is told by the process above
            told = traceback.format_exc()
        finally:
            (home / "told").write_text(told)
            os._exit(0)

    def _go_on(self, home: Path, work: Callable[[], str]) -> str:
        """In the copy: threads are not copied, so the clock's begins anew."""
        assert self.cloud.emulated is not None
        clock, died = self.cloud.emulated.clock, []
        threading.excepthook = lambda hooked: died.append(f"{hooked.thread}: {hooked.exc_value!r}")
        os.environ["FLYBACK_HOME"] = str(home)
        ledger = home / self.cloud.ledger.path.relative_to(self._home)
        self.cloud = dataclasses.replace(self.cloud, ledger=FileLedger(ledger, self.cloud.clock))
        clock._thread = threading.Thread(target=clock._run, daemon=True)
        clock._thread.start()
        told = work()
        return told or "; ".join(died)

    def _ended(self) -> tuple[C, str]:
        pid, status = os.wait()
        case, home = self._running.pop(pid)
        file = home / "told"
        told = file.read_text() if file.exists() else f"its process ended with status {status}"
        shutil.rmtree(home)
        return case, told
