"""The evaluator against AWS's documentation."""

from __future__ import annotations

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
