"""What every step of one attempt has at hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar

from flyback.agent.counting import CountingStore
from flyback.agent.journal import Journal
from flyback.agent.options import Options
from flyback.agent.output import note
from flyback.agent.scratch import Scratch
from flyback.agent.services import Services
from flyback.agent.supervise import Supervisor
from flyback.agent.uploads import Uploads
from flyback.errors import FlybackError
from flyback.spec.clock import Clock
from flyback.spec.paths import AttemptPaths, RunPaths

__all__ = ["Workbench"]

T = TypeVar("T")

_TICK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """One attempt's folder, services, clock and records."""

    options: Options
    run: RunPaths
    keys: AttemptPaths
    scratch: Scratch
    services: Services
    store: CountingStore
    clock: Clock
    journal: Journal
    supervisor: Supervisor
    uploads: Uploads

    @classmethod
    def open(cls, options: Options, services: Services, clock: Clock) -> Workbench:
        """Clear the attempt's folder and lay everything out."""
        run = RunPaths(options.run_id)
        keys = run.attempt(options.attempt)
        scratch = Scratch.fresh(options.root, run, options.attempt)
        if options.boot_log is not None and options.boot_log.is_file():
            scratch.log.write_bytes(options.boot_log.read_bytes())
        store = CountingStore(services.store)
        journal = Journal(scratch.events, options.attempt, clock, store, keys.events)
        supervisor = Supervisor(clock, scratch.log)
        return cls(
            options=options,
            run=run,
            keys=keys,
            scratch=scratch,
            services=services,
            store=store,
            clock=clock,
            journal=journal,
            supervisor=supervisor,
            uploads=Uploads(store, clock, journal, supervisor.tick),
        )

    def say(self, text: str) -> None:
        """Put a line into the log that the job's owner reads."""
        note(self.scratch.log, text)

    def meanwhile(self, what: str, action: Callable[[], T]) -> T:
        """Do what may take long on the network; heartbeat and notices go on meanwhile.

        Args:
            what: Is done, as a noun.
            action: Does it, in a thread of its own.

        Raises:
            FlybackError: the job has to end; the thread is left behind, and ends with the machine.
        """
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(action())
            except BaseException as error:  # noqa: BLE001  # raised again by the one that waits
                future.set_exception(error)

        # a daemon: one that hangs must not keep the agent from its end
        threading.Thread(target=work, name="flyback-transfer", daemon=True).start()
        while not wait([future], timeout=_TICK_S).done:
            self.supervisor.tick()
            if self.supervisor.stop is not None:
                raise FlybackError(f"{what} was cut short: {self.supervisor.stop.reason}")
        return future.result()
