"""The evaluator against AWS's documentation, and other evaluators against it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

_LEAST_CASES = 300


@pytest.mark.proof
def test_proof_policy_truth_table(truth_table: tuple[Any, ...]) -> None:
    """Every documented case is decided as the page says, with the statement that decides it."""
    agree = sum(case.answer == case.expected for case in truth_table)
    print(f"PROOF policy-truth-table cases={len(truth_table)} agree={agree}")
    assert len(truth_table) >= _LEAST_CASES
    assert agree == len(truth_table)


def test_every_documented_case_is_decided_so(truth_table: tuple[Any, ...]) -> None:
    """Every documented case is decided as the page says, and cites its page."""
    wrong = [
        f"{case} is {case.answer}, not {case.expected} ({case.page})"
        for case in truth_table
        if case.answer != case.expected
    ]
    assert not wrong
    assert all(case.page.startswith("https://docs.aws.amazon.com/") for case in truth_table)


def test_a_statement_is_named_exactly_where_one_decided(truth_table: tuple[Any, ...]) -> None:
    """A deny or allow names its statement, a root user's allow none, an implicit deny none."""
    for case in truth_table:
        decision = case.decide()
        named = decision.statement is not None
        rooted = case.request.principal.kind == "root" and decision.allowed
        assert named == (decision.reason != "implicit deny") or rooted, str(case)


# Why moto 5.2.5 answers otherwise, by what the case needs; the first that fits.
_MOTO: tuple[tuple[str, str], ...] = (
    ("resource policy", "moto does not combine resource and identity policies"),
    ("limit", "moto knows neither permissions boundaries nor session policies"),
    ("Condition", "moto takes an unmet condition for a deny, and reads only a few operators"),
    ("NotResource", "moto takes NotResource for any resource"),
    ("${", "moto does not resolve policy variables"),
    ("?", "moto reads ? as in a regular expression"),
    ("case", "moto compares actions with their case"),
    ("incomplete", "moto does not complete incomplete ARNs"),
    ("root", "moto asks nothing of a root user, elsewhere than in its policies"),
)


def _why(case: Any) -> str:
    text = json.dumps(case.documents)
    if "resource" in case.documents or "trust" in case.documents:
        return "resource policy"
    if {"boundary", "session"} & set(case.documents):
        return "limit"
    for mark in ("Condition", "NotResource", "${", "?"):
        if mark in text:
            return mark
    if case.request.principal.kind == "root":
        return "root"
    if "incomplete" in case.group["title"]:
        return "incomplete"
    return "case" if case.request.action not in text else ""


def test_where_moto_disagrees_it_is_for_a_listed_reason(truth_table: tuple[Any, ...]) -> None:
    """Moto's own evaluator decides otherwise only where a case needs what moto lacks."""
    from moto.iam.access_control import IAMPolicy, PermissionResult

    answers = {
        PermissionResult.PERMITTED: "allow",
        PermissionResult.DENIED: "deny",
        PermissionResult.NEUTRAL: "none",
    }
    reasons = dict(_MOTO)
    disagreements: Counter[str] = Counter()
    unexplained = []
    for case in truth_table:
        document = case.documents.get("identity", {"Statement": []})
        request = case.request
        found = answers[
            IAMPolicy(json.dumps(document)).is_action_permitted(request.action, request.resource)
        ]
        if found == case.expected:
            continue
        why = _why(case)
        disagreements[why] += 1
        if why not in reasons:
            unexplained.append(f"{case}: moto says {found}, AWS {case.expected}")
    assert not unexplained
    assert set(disagreements) <= set(reasons)
    assert sum(disagreements.values()) > len(truth_table) / 10, "moto has learnt: use it"
