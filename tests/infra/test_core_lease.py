"""core.yaml: guardian and schedules end and relaunch our machines, and reach nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.decode import decode_str

from flyback.infra import templates
from flyback.launch.guardian.events import read

OURS = {"StringEquals": {"aws:ResourceTag/flyback:name": {"Ref": "Name"}}}


@pytest.fixture(scope="module")
def core() -> dict[str, Any]:
    """The template, decoded."""
    template, problems = decode_str(templates.read("core"))
    assert not problems
    return dict(template)


def _properties(core: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = core["Resources"][name]["Properties"]
    return found


def _statements(core: dict[str, Any], role: str) -> Iterator[dict[str, Any]]:
    for policy in _properties(core, role)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def _actions(statement: dict[str, Any]) -> list[str]:
    named = statement["Action"]
    return [named] if isinstance(named, str) else list(named)


def test_no_yaml_aliases() -> None:
    """CloudFormation refuses aliases, which cfn-lint lets pass (template reference, "YAML")."""
    lines = templates.read("core").splitlines()
    assert not [line for line in lines if line.partition(": ")[2].startswith(("&", "*"))]


@pytest.mark.parametrize("role", ["SchedulerTerminateRole", "SchedulerInvokeRole"])
def test_only_schedules_of_our_group_take_their_roles(core: dict[str, Any], role: str) -> None:
    """The trust names Scheduler, this account and the schedule group."""
    (statement,) = _properties(core, role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:SourceArn": {"Fn::GetAtt": ["ScheduleGroup", "Arn"]},
        }
    }


@pytest.mark.parametrize("role", ["SchedulerTerminateRole", "GuardianRole"])
def test_only_our_machines_are_ended(core: dict[str, Any], role: str) -> None:
    """Whoever may terminate may do so only where the deployment's own tag is."""
    ends = [s for s in _statements(core, role) if "ec2:TerminateInstances" in _actions(s)]
    assert [statement["Condition"] for statement in ends] == [OURS]


def test_schedules_do_one_thing_each(core: dict[str, Any]) -> None:
    """One role terminates, the other invokes the guardian; neither does anything else."""
    for role, action in (
        ("SchedulerTerminateRole", "ec2:TerminateInstances"),
        ("SchedulerInvokeRole", "lambda:InvokeFunction"),
    ):
        assert [_actions(statement) for statement in _statements(core, role)] == [[action]]


def test_the_guardian_is_no_wider_than_its_work(core: dict[str, Any]) -> None:
    """No wildcard action; `*` only to describe; roles passed by name, to one service each."""
    passed = {}
    for statement in _statements(core, "GuardianRole"):
        assert not [action for action in _actions(statement) if "*" in action]
        assert "logs:CreateLogGroup" not in _actions(statement)
        if statement["Resource"] == "*":
            assert _actions(statement) == ["ec2:DescribeInstances", "ec2:DescribeSubnets"]
        if "iam:PassRole" in _actions(statement):
            to = statement["Condition"]["StringEquals"]["iam:PassedToService"]
            named = statement["Resource"]
            named = named if isinstance(named, list) else [named]
            passed[to] = [arn["Fn::GetAtt"][0] for arn in named]
    assert passed == {
        "ec2.amazonaws.com": ["InstanceRole"],
        "scheduler.amazonaws.com": ["SchedulerTerminateRole", "SchedulerInvokeRole"],
    }


def test_what_the_guardian_launches_is_tagged(core: dict[str, Any]) -> None:
    """Fleets, machines and volumes are launched only under the deployment's tag."""
    for statement in _statements(core, "GuardianRole"):
        if "ec2:RunInstances" in _actions(statement) and "Condition" not in statement:
            kinds = {
                text["Fn::Sub"].rpartition(":")[2].split("/")[0] for text in statement["Resource"]
            }
            assert not kinds & {"fleet", "instance", "volume"}


def test_the_guardian_is_called_two_ways(core: dict[str, Any]) -> None:
    """By the sweep and by what ends or stops a machine; no rule calls it for what it ignores."""
    sweep = _properties(core, "GuardianSweep")
    assert sweep["ScheduleExpression"] == "rate(15 minutes)"
    assert sweep["GroupName"] == {"Ref": "ScheduleGroup"}
    of = {name: item["Type"] for name, item in core["Resources"].items()}
    assert [name for name, kind in of.items() if kind == "AWS::Events::Rule"] == ["EndRule"]
    (permitted,) = [name for name, kind in of.items() if kind == "AWS::Lambda::Permission"]
    permission = _properties(core, permitted)
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["EndRule", "Arn"]}
    pattern = _properties(core, "EndRule")["EventPattern"]
    for kind, states in itertools.product(pattern["detail-type"], pattern["detail"]["state"]):
        detail = {"instance-id": "i-1", "state": states}
        assert read({"detail-type": kind, "detail": detail}).kind == "machine"


def test_without_code_the_schedules_still_end_machines(core: dict[str, Any]) -> None:
    """Only what needs the guardian's code depends on it being there."""
    guarded = {n for n, r in core["Resources"].items() if r.get("Condition") == "Guarded"}
    assert not guarded & {"ScheduleGroup", "SchedulerTerminateRole", "Topic"}
    assert guarded >= {"GuardianFunction", "GuardianRole", "GuardianSweep", "SchedulerInvokeRole"}
    assert "ReservedConcurrentExecutions" not in _properties(core, "GuardianFunction")
