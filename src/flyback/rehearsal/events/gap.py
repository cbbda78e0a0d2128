"""EventBridge's API, where moto's would promise what the rehearsal does not do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.events.bus import EventBus

__all__ = ["EventsGap"]

_FIELDS = ("EventPattern", "Description", "Name", "State", "Tags", "EventBusName")


class EventsGap:
    """Rules are moto's; which of them take effect, and where events go, is decided here.

    Args:
        bus: Where events go.
    """

    service = "events"
    operations = frozenset({"PutRule", "PutTargets", "PutEvents"})

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        if call.operation == "PutEvents":
            return self._put_events(call)
        if call.params.get("EventBusName", "default") != "default":
            raise AwsError("NotEmulated", "only the default event bus is emulated", 501)
        if call.operation == "PutRule":
            for name, value in call.params.items():
                if value and name not in _FIELDS:
                    raise AwsError("NotEmulated", f"{name} of a rule is not emulated", 501)
        for target in call.params.get("Targets", ()):
            if not str(target["Arn"]).startswith("arn:aws:lambda:") or set(target) - {"Id", "Arn"}:
                raise AwsError("NotEmulated", f"a rule's target {target} is not emulated", 501)
        return forward(call)

    def _put_events(self, call: Call) -> Mapping[str, Any]:
        entries = []
        for entry in call.params.get("Entries", ()):
            source = str(entry.get("Source", ""))
            if source.startswith("aws."):
                entries.append(
                    {
                        "ErrorCode": "NotAuthorizedForSourceException",
                        "ErrorMessage": "Not authorized for the source.",
                    }
                )
                continue
            event_id = self._bus.emit(
                call.region,
                source,
                str(entry.get("DetailType", "")),
                json.loads(entry.get("Detail") or "{}"),
                entry.get("Resources") or (),
            )
            entries.append({"EventId": event_id})
        failed = sum("ErrorCode" in entry for entry in entries)
        return {"FailedEntryCount": failed, "Entries": entries}
