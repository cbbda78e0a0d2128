"""Functions of this process: the real guardian in a thread, with its own role."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

from copies import Line
from dying import Death, Killed, KilledThread

from flyback.api.wiring import Cloud
from flyback.aws.ledger import NoLedger
from flyback.aws.session import Access
from flyback.launch.guardian.guard import from_environment
from flyback.launch.guardian.handler import serve
from flyback.launch.guardian.ledger import StoreLedger
from flyback.rehearsal.functions.environment import Outcome
from flyback.store.open import open_store

ACCESS = Access(region="us-east-1", endpoint="http://localhost:1", access_key="-", secret_key="-")


class Rooms:
    """Execution environments whose handler is a thread of this process."""

    def __init__(self, cloud: Cloud, real: Any) -> None:
        self._cloud: Any = cloud.emulated
        self._real = real
        self._held: dict[str, Any] = {}  # function → session: each has a role of its own
        self._lines = (Line(cloud, ACCESS), Line(cloud, ACCESS))
        self.death = Death()

    def take(self, function: Any) -> Any:
        session = self._held.get(function.arn)
        if session is None or session.ends_at < self._cloud.clock.now() + 900:
            session = self._held[function.arn] = self._real._sessions.take(
                function.get("Role"),
                function.name,
                region=function.region,
                service="lambda",
                source_arn=function.arn,
            )
        return SimpleNamespace(
            session=session,
            alive=False,
            log_stream="here",
            lasts_until=session.ends_at,
            close=lambda: None,
            invoke=lambda request_id, event, holder=None: self._invoke(
                function, session, request_id, event, holder
            ),
        )

    def give_back(self, function: Any, environment: Any) -> None:
        """Thrown away."""

    def forget(self, arn: str) -> None:
        """A function of that name that is made later has another role."""
        self._held.pop(arn, None)

    def interrupt(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing runs."""

    def _invoke(
        self, function: Any, session: Any, request_id: str, event: bytes, holder: Any
    ) -> Outcome:
        clock = self._cloud.clock.participant(f"lambda {request_id}")
        clock.join()
        if holder is not None:
            holder.leave()
        self.death.born()
        try:
            until = clock.now() + float(function.get("Timeout"))
            guard = self._guard(function, session.caller, clock)
            guard = dataclasses.replace(guard, until=until)
            done = serve(guard, json.loads(event))
        except (KilledThread, Killed):
            return Outcome(payload=b"{}", error="Runtime.ExitError")
        except Exception as error:  # noqa: BLE001  # as Lambda does
            text = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
            return Outcome(payload=text.encode(), error="Unhandled")
        finally:
            if holder is not None:
                holder.join()
            clock.leave()
        return Outcome(payload=json.dumps(done).encode())

    def _guard(self, function: Any, caller: Any, clock: Any) -> Any:
        """The function's own, on clients that were made before."""
        access = Access(
            region=function.region,
            endpoint=self._cloud.endpoint,
            access_key=caller.access_key,
            secret_key=caller.secret,
            session_token=caller.token,
        )
        for line in self._lines:
            line.sign(access)
        guard = from_environment(function.environment, access, clock)
        stored_by = self._lines[0].session(self.death, NoLedger())
        store = open_store(guard.store.url, s3_client=stored_by.client("s3"))
        session = self._lines[1].session(self.death, StoreLedger(store, clock))
        return dataclasses.replace(guard, stored_by=stored_by, store=store, session=session)
