"""Malformed policies are refused: where, what, and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from flyback.audit.iam import PolicyError, parse_policy

_GOOD = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


def _policy(**fields: Any) -> dict[str, Any]:
    statement = {key: value for key, value in {**_GOOD, **fields}.items() if value is not None}
    return {"Version": "2012-10-17", "Statement": [statement]}


_MALFORMED: dict[str, tuple[Any, str, str]] = {
    "no object": ([], "identity", "p: a policy is an object"),
    "version": ({"Version": "2012", "Statement": []}, "identity", "p: Version: '2012' is no"),
    "no statement": ({"Version": "2012-10-17"}, "identity", "p: the policy has no Statement"),
    "id": ({"Id": "x", "Statement": []}, "identity", "p: Id: an identity's policy has no Id"),
    "spelling": (_policy(Ressource="*"), "identity", "did you mean Resource?"),
    "effect": (_policy(Effect="allow"), "identity", "p: Statement[0].Effect: 'allow' is no effect"),
    "no action": (_policy(Action=None), "identity", "one of Action and NotAction is needed"),
    "two actions": (_policy(NotAction="*"), "identity", "one of Action and NotAction is needed"),
    "action": (_policy(Action="GetObject"), "identity", "'GetObject' is no action"),
    "vendor": (_policy(Action="*:Get"), "identity", "the service takes no wildcard"),
    "no resource": (_policy(Resource=None), "identity", "one of Resource and NotResource"),
    "resource": (_policy(Resource="bucket"), "identity", "'bucket' is no ARN"),
    "principal": (_policy(Principal="*"), "identity", "an identity's policy names no principal"),
    "no principal": (_policy(), "resource", "one of Principal and NotPrincipal is needed"),
    "principal kind": (_policy(Principal={"Services": "x"}), "resource", "did you mean Service?"),
    "wild principal": (
        _policy(Principal={"AWS": "arn:aws:iam::123456789012:role/*"}),
        "resource",
        "has a wildcard",
    ),
    "trust resource": (_policy(Principal="*"), "trust", "a trust policy names no resource"),
    "sid": (_policy(Sid="with space"), "identity", "use letters and digits only"),
    "operator": (
        _policy(Condition={"StringEqual": {"a:b": "c"}}),
        "identity",
        "p: Statement[0].Condition.StringEqual: 'StringEqual' is no condition operator\n  → did",
    ),
    "qualifier": (_policy(Condition={"ForSome:Bool": {"a:b": "true"}}), "identity", "no condition"),
    "null": (
        _policy(Condition={"NullIfExists": {"a:b": "true"}}),
        "identity",
        "Null takes neither",
    ),
    "no keys": (_policy(Condition={"Bool": "true"}), "identity", "takes keys and values"),
    "number": (
        _policy(Condition={"NumericEquals": {"s3:max-keys": "ten"}}),
        "identity",
        "Condition.NumericEquals.s3:max-keys: 'ten' is no value for NumericEquals",
    ),
    **{
        f"number {text}": (
            _policy(Condition={"NumericLessThan": {"a:b": text}}),
            "identity",
            "no value",
        )
        for text in ("1_000", "inf", "nan", "1e3", " 1", "٣")
    },
    **{
        f"date {text}": (_policy(Condition={"DateLessThan": {"a:b": text}}), "identity", "no value")
        for text in ("nan", "202", "2020-04-01T00:00:00", "2020-W01", "2020-13", "1_600_000_000")
    },
    "canonical user": (
        _policy(Principal={"CanonicalUser": "79a59df9"}),
        "resource",
        "p: Statement[0].Principal.CanonicalUser: canonical user ids are not modelled",
    ),
    "date": (_policy(Condition={"DateLessThan": {"a:b": "soon"}}), "identity", "no value for Date"),
    "boolean": (_policy(Condition={"Bool": {"a:b": "yes"}}), "identity", "no value for Bool"),
    "address": (_policy(Condition={"IpAddress": {"a:b": "1.2.3"}}), "identity", "no value for Ip"),
    "binary": (_policy(Condition={"BinaryEquals": {"a:b": "é"}}), "identity", "no value for Bin"),
    "empty": (_policy(Resource=[]), "identity", "the list is empty"),
    "type": (_policy(Action=[1]), "identity", "1 is no text"),
}


@pytest.mark.parametrize("mistake", list(_MALFORMED))
def test_a_malformed_policy_is_refused_with_place_and_remedy(mistake: str) -> None:
    """Each mistake is a PolicyError whose sentence says where, what and what to do."""
    document, kind, sentence = _MALFORMED[mistake]
    with pytest.raises(PolicyError) as refused:
        parse_policy(document, "p", kind)  # type: ignore[arg-type]  # from the table
    assert sentence in str(refused.value)
    assert refused.value.remedy
    assert refused.value.where.startswith("p")


def test_two_statements_with_one_sid_are_refused() -> None:
    """A Sid names one statement."""
    twice = [{**_GOOD, "Sid": "A"}, {**_GOOD, "Sid": "A"}]
    with pytest.raises(PolicyError, match="two statements have the Sid 'A'"):
        parse_policy({"Statement": twice}, "p")


def test_what_people_write_loosely_is_read() -> None:
    """One statement without a list, booleans and numbers as such, operators in any case."""
    condition = {
        "bool": {"aws:SecureTransport": True},
        "FORALLVALUES:numericequals": {"a:b": [1, 2]},
    }
    policy = parse_policy(
        {"Version": "2012-10-17", "Statement": {**_GOOD, "Condition": condition}}, "p"
    )
    (statement,) = policy.statements
    assert [(item.operator, item.qualifier, item.values) for item in statement.conditions] == [
        ("Bool", "", ("true",)),
        ("NumericEquals", "ForAllValues", ("1", "2")),
    ]
    assert str(statement) == "p: Statement[0]"
