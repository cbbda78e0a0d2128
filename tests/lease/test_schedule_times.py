"""When schedules fire: for every deadline a time that EventBridge Scheduler takes, and in time."""

from __future__ import annotations

import dataclasses
import functools
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from hypothesis import example, given
from hypothesis import strategies as st
from test_two_at_once import _launch

from flyback.aws.scheduler import Moment, moment
from flyback.launch.lease import arm_guardian, arm_machine, is_of, move
from flyback.rehearsal.schedules.expressions import Once, parse

FIRST = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
LAST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
LEAP_DAY = datetime(2028, 2, 29, tzinfo=UTC).timestamp()
MOST_S = 366 * 86_400.0
# Scheduler user guide, "Schedule types", one-time schedules: at(yyyy-mm-ddThh:mm:ss)
AT = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)")
RUN_IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@functools.cache
def shape(operation: str) -> Any:
    """What Scheduler's own model says of a request."""
    service = botocore.session.get_session().get_service_model("scheduler")
    return service.operation_model(operation).input_shape


def is_taken(request: dict[str, Any]) -> bool:
    """Whether the model allows it: members, lengths, and the patterns of its texts."""
    for operation in ("CreateSchedule", "UpdateSchedule"):
        members = shape(operation).members
        report = ParamValidator().validate(request, shape(operation))
        assert not report.has_errors(), report.generate_report()
        for name in ("Name", "GroupName"):
            assert re.fullmatch(members[name].metadata["pattern"], request[name]), request[name]
        role = members["Target"].members["RoleArn"].metadata["pattern"]
        assert re.fullmatch(role, request["Target"]["RoleArn"])
    return AT.fullmatch(request["ScheduleExpression"]) is not None


def fires_at(request: dict[str, Any]) -> float:
    """The time that it names, in seconds since the epoch."""
    found = parse(request["ScheduleExpression"], request["ScheduleExpressionTimezone"])
    assert isinstance(found, Once)
    return found.at


@given(
    now=st.floats(FIRST, LAST),
    lease_s=st.floats(0, MOST_S),
    run_id=RUN_IDS,
    number=st.integers(1, 999),
    whole=st.booleans(),
)
@example(now=FIRST + 0.5, lease_s=0.0, run_id="r", number=1, whole=False)
@example(now=FIRST - 0.5, lease_s=0.25, run_id="r", number=1, whole=False)
@example(now=LEAP_DAY - 30, lease_s=20.0, run_id="r", number=1, whole=True)
def test_every_deadline_gives_a_time_that_is_taken(
    now: float, lease_s: float, run_id: str, number: int, *, whole: bool
) -> None:
    """Never before the deadline, so never before now, and at most a minute after it."""
    deadline = float(int(now + lease_s)) if whole else now + lease_s  # whole as a launch's is
    asked: list[Moment] = []
    session: Any = SimpleNamespace(
        schedules=SimpleNamespace(
            put=lambda wanted, _: asked.append(wanted),
            get=lambda _, name: next(item for item in asked if item.name == name),
            update=lambda wanted: asked.append(wanted) or True,
        )
    )
    place = dataclasses.replace(
        _launch().place,  # type: ignore[type-var]  # this one has a place
        invoke_role="arn:aws:iam::123456789012:role/invoke",
    )
    earlier = deadline - 3600.0
    arm_guardian(session, place, run_id, deadline)
    arm_machine(session, place, (run_id, number, "i-0123456789abcdef0"), deadline)
    arm_guardian(session, place, f"{run_id[:20]}-moved", earlier)
    move(session, "g", (asked[-1].name,), deadline)
    assert len(asked) == 4
    for wanted in (asked[0], asked[1], asked[3]):
        request = wanted.request()
        assert is_taken(request)
        assert 0 <= fires_at(request) - deadline < 60
        assert fires_at(request) >= (min(now, deadline))
        again = moment({**request, "ScheduleExpressionTimezone": "UTC"})
        assert again.request() == request  # what is read back and written anew stays
    assert is_of(asked[0].name, run_id)
    assert is_of(asked[1].name, run_id)
