"""What the guardian stands on: its environment, as its function's configuration gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flyback.aws.session import Access, Session
from flyback.launch.guardian.ledger import StoreLedger
from flyback.launch.records import Records
from flyback.spec.clock import Clock, clock_from_environment
from flyback.spec.launch import Place
from flyback.store.open import open_store
from flyback.store.protocol import Store

__all__ = ["VARIABLES", "Guard", "from_environment"]

VARIABLES = (
    "FLYBACK_NAME",
    "FLYBACK_STORE",
    "FLYBACK_TOPIC",
    "FLYBACK_SCHEDULE_GROUP",
    "FLYBACK_TERMINATE_ROLE",
)
"""Name of the deployment; `s3://` and its outputs bucket; ARN of its topic; name of its schedule
group; ARN of the role by which Scheduler terminates machines."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One deployment, as its guardian sees it.

    Args:
        name: The deployment's; value of the tag `flyback:name`.
        store: Holds its runs.
        stored_by: The session that the store stands on.
        session: The account, with a ledger in the store.
        clock: What waits wait on.
        topic: ARN of the topic that people subscribe to; empty tells nobody.
        place: Where its schedules are.
        until: When Lambda ends this call, in seconds since the epoch.
    """

    name: str
    store: Store
    stored_by: Session
    session: Session
    clock: Clock
    topic: str
    place: Place
    until: float = math.inf

    def records(self, run_id: str) -> Records:
        """A run's files."""
        return Records(run_id, self.store, self.store)


def from_environment(
    environ: Mapping[str, str], access: Access | None = None, clock: Clock | None = None
) -> Guard:
    """Read the function's configuration.

    Args:
        environ: Its environment.
        access: How to reach the account; None takes the environment's own credentials.
        clock: What waits wait on; None takes the environment's.

    Raises:
        KeyError: a variable is missing; the template gives them all.
    """
    found = {name: environ[name] for name in VARIABLES}
    clock = clock or clock_from_environment(environ)
    stored_by = Session(access)
    store = open_store(found["FLYBACK_STORE"], s3_client=stored_by.client("s3"))
    return Guard(
        name=found["FLYBACK_NAME"],
        store=store,
        stored_by=stored_by,
        session=Session(access, StoreLedger(store, clock)),
        clock=clock,
        topic=found["FLYBACK_TOPIC"],
        place=Place(
            group=found["FLYBACK_SCHEDULE_GROUP"],
            terminate_role=found["FLYBACK_TERMINATE_ROLE"],
        ),
    )
