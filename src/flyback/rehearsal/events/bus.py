"""Events on their way from a service to the targets of the rules that match them."""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.moto_state import ACCOUNT, LOCK, backend
from flyback.rehearsal.transport import Caller, Clients
from flyback.spec.clock import Clock

__all__ = ["EventBus"]

_ON_THE_WAY_S = 1.0  # chosen, not measured on AWS
_RETRIES = 5  # AWS tries for a day, 185 times (user guide, "Retry policy"); here for half an hour
_SERVER_ERROR = 500


class EventBus:
    """The default bus of every region.

    Args:
        clients: Calls the targets, on the rule's behalf.
        clock: The rehearsal's.

    Attributes:
        lost: Whether an event gets lost: a fault of the rehearsal.
    """

    def __init__(self, clients: Clients, clock: VirtualClock) -> None:
        self._clients = clients
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._emitted: list[Mapping[str, Any]] = []
        self.lost: Callable[[Mapping[str, Any]], bool] = lambda _: False

    @property
    def emitted(self) -> tuple[Mapping[str, Any], ...]:
        """Every event so far, those that got lost included."""
        with self._lock:
            return tuple(self._emitted)

    def emit(
        self,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
    ) -> str:
        """An event happens now; whoever has a rule for it is told a little later.

        Args:
            region: Where.
            source: For instance `aws.ec2`.
            detail_type: What kind.
            detail: What happened.
            resources: ARNs that it is about.

        Returns:
            The event's id.
        """
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        with self._lock:
            number = next(self._numbers)
            event = {
                "version": "0",
                "id": str(uuid.UUID(int=(0xE5 << 120) + number, version=4)),
                "detail-type": detail_type,
                "source": source,
                "account": ACCOUNT,
                "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": region,
                "resources": list(resources),
                "detail": dict(detail),
            }
            self._emitted.append(event)
        if not self.lost(event):
            self._clock.call_after(_ON_THE_WAY_S, lambda: self._route(event))
        return str(event["id"])

    def _route(self, event: Mapping[str, Any]) -> None:
        with LOCK:
            buses = backend("events", event["region"]).event_buses
            matching = [
                (rule.arn, target["Arn"])
                for rule in buses["default"].rules.values()
                if rule.state == "ENABLED" and rule.event_pattern.dump() is not None
                if rule.event_pattern.matches_event(event)
                for target in rule.targets
            ]
        for rule_arn, target in matching:
            self._send(event, rule_arn, target, 1)

    def _send(self, event: Mapping[str, Any], rule_arn: str, target: str, attempt: int) -> None:
        def body(clock: Clock) -> None:
            del clock
            caller = Caller(via="events", source_arn=rule_arn)
            client = self._clients.of("lambda", str(event["region"]), caller)
            try:
                client.invoke(
                    FunctionName=target,
                    InvocationType="Event",
                    Payload=json.dumps(event).encode(),
                )
            except ClientError as refused:
                if refused.response["ResponseMetadata"]["HTTPStatusCode"] < _SERVER_ERROR:
                    return  # what is forbidden or gone stays so
            except BotoCoreError:
                pass  # no answer
            else:
                return
            if attempt <= _RETRIES:
                again = 60.0 * 2 ** (attempt - 1)
                self._clock.call_after(
                    again, lambda: self._send(event, rule_arn, target, attempt + 1)
                )

        self._clock.spawn(f"events:{event['id']}:{rule_arn.rpartition('/')[2]}:{attempt}", body)
