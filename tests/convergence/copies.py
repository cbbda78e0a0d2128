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
from typing import Any, Generic, Protocol, TypeVar

from flyback.api.wiring import Cloud, local_home
from flyback.aws.ledger import FileLedger, Ledger
from flyback.aws.operations import SERVICES
from flyback.aws.session import Access, Session

C = TypeVar("C")


class Mortal(Protocol):
    """A process that may end at any of its requests."""

    def before(self, request: Any = None) -> None:
        """A request is about to be sent."""

    def sent(self, request: Any) -> None:
        """It has taken effect; its answer is on the way."""

    def after(self) -> None:
        """It has been answered."""


class Immortal:
    """A process that does not."""

    def before(self, request: Any = None) -> None:
        """Goes on."""

    def sent(self, request: Any) -> None:
        """Goes on."""

    def after(self) -> None:
        """Goes on."""


class Line:
    """The boto3 clients of one cloud: to make them takes longer than most commands.

    They call the front in this process; sockets have tests of their own. One process after the
    other has them.

    Args:
        cloud: The cloud.
        access: Whose; None takes the cloud's own client's.
    """

    def __init__(self, cloud: Cloud, access: Access | None = None) -> None:
        assert cloud.emulated is not None
        self._carry = cloud.emulated.clients.carry
        self._access = access or cloud.session._access
        self._ledger: Ledger = cloud.ledger
        self._whose: Mortal = Immortal()
        self._made: dict[str, Session] = {}
        self._here = cloud.session.region
        self.in_region(self._here, self._ledger)

    def session(self, whose: Mortal, ledger: Ledger) -> Session:
        """A session of its own for a process that begins now; earlier ones are over."""
        self._whose = whose
        return self.in_region(self._here, ledger)

    def in_region(self, region: str, ledger: Ledger) -> Session:
        """A session of the process that lives now."""
        if region not in self._made:
            self._made[region] = self._make(region)
        made = self._made[region]
        session = LinedSession(made._access, ledger)
        session.line = self
        session._boto = made._boto
        session._clients = made._clients
        made.calls = session.calls
        made.witness = lambda *seen: session.witness(*seen) if session.witness else None
        return session

    def sign(self, access: Access) -> None:
        """From now on with these keys."""
        for made in self._made.values():
            keys = made._boto._session.get_credentials()
            keys.access_key, keys.secret_key = access.access_key, access.secret_key
            keys.token = access.session_token

    def _make(self, region: str) -> Session:
        made = Session(dataclasses.replace(self._access, region=region), self._ledger)
        events = made._boto._session
        events.register("before-send", lambda request, **_: self._whose.before(request))
        self._carry(events)
        events.register("before-send", lambda request, **_: self._whose.sent(request))
        events.register("response-received", lambda **_: self._whose.after())
        for service in SERVICES:
            made.client(service)
        return made


class LinedSession(Session):
    """One whose other regions are reached by the same line."""

    line: Line

    def in_region(self, region: str, ledger: Ledger) -> Session:
        return self.line.in_region(region, ledger)


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
