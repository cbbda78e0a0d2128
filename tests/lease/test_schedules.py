"""The schedules of any run at any deadline: as Scheduler takes them, never early, never late."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from flyback.aws.scheduler import Moment, moment
from flyback.launch.lease import arm_guardian, arm_machine, is_of
from flyback.spec.launch import Place

PLACE = Place(
    group="flyback-lab",
    terminate_role="arn:aws:iam::123456789012:role/ender",
    guardian="arn:aws:lambda:us-east-1:123456789012:function:lab-guardian",
    invoke_role="arn:aws:iam::123456789012:role/invoker",
)
SHAPE = (
    botocore.session.Session()
    .get_service_model("scheduler")
    .operation_model("CreateSchedule")
    .input_shape
)
NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")  # EventBridge Scheduler API: CreateSchedule, Name
AT = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:00\)")


@given(
    run_id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    number=st.integers(1, 10_000),
    deadline=st.integers(0, 7_258_118_400),  # until 2200
)
def test_schedules_are_valid_for_every_deadline(run_id: str, number: int, deadline: int) -> None:
    """Whatever second it is, and however long the run's id."""
    asked: list[Moment] = []
    session: Any = SimpleNamespace(
        schedules=SimpleNamespace(put=lambda wanted, _: asked.append(wanted))
    )
    arm_guardian(session, PLACE, run_id, float(deadline))
    arm_machine(session, PLACE, (run_id, number, "i-0123456789abcdef0"), float(deadline))
    assert len({item.name for item in asked}) == 2
    for wanted in asked:
        request = wanted.request()
        assert not ParamValidator().validate(request, SHAPE).has_errors()
        assert NAME.fullmatch(request["Name"])
        assert is_of(request["Name"], run_id)
        assert AT.fullmatch(request["ScheduleExpression"])
        told = moment(request)
        assert deadline <= told.at < deadline + 60
        assert moment(told.request()) == told  # moving one that was read changes nothing else
        assert (told.target, told.role, told.payload) == (
            wanted.target,
            wanted.role,
            wanted.payload,
        )
