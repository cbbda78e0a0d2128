"""What every step of one attempt has at hand."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.agent.counting import CountingStore
from flyback.agent.journal import Journal
from flyback.agent.options import Options
from flyback.agent.output import note
from flyback.agent.scratch import Scratch
from flyback.agent.services import Services
from flyback.agent.supervise import Supervisor
from flyback.agent.uploads import Uploads
from flyback.spec.clock import Clock
from flyback.spec.paths import AttemptPaths, RunPaths

__all__ = ["Workbench"]


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
