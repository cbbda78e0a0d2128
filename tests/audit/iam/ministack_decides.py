"""Run by ministack's own interpreter: cases on standard input, its decisions on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.iam_evaluator import (
    EvalContext,
    combine_resource_policy,
    evaluate,
    parse_policy_document,
)

_ANSWERS = {"Allow": "allow", "Deny": "deny", "ImplicitDeny": "none"}


def decide(case: dict[str, Any]) -> str:
    """What ministack's `enforce` makes of a request, once it knows who asks and which policies."""
    documents = case["documents"]
    context = EvalContext(
        principal_arn=case["principal"],
        principal_type=case["type"],
        principal_account=case["account"],
        action=case["action"],
        resource_arn=case["resource"],
        region="us-east-1",
        service_context=case["context"],
    )
    limits = [
        [parse_policy_document(documents[layer])]
        for layer in ("boundary", "session")
        if layer in documents
    ]
    identity = [parse_policy_document(documents.get("identity", {}))]
    found = evaluate(context, identity, *limits)
    if "resource" in documents:
        owner = "another account" if case["needs"] == "both" else None
        found = combine_resource_policy(
            found, context, documents["resource"], owner, limits=tuple(limits)
        )
    return _ANSWERS[found.decision]


if __name__ == "__main__":
    # The time, the address and the transport are the case's, not this process's.
    iam_evaluator._resolve_condition_key = lambda key, ctx: ctx.service_context.get(key.lower())
    json.dump([decide(case) for case in json.load(sys.stdin)], sys.stdout)
