"""What IAM policies decide, without an account.

Takes: policies as JSON, and a request: who asks for which action on which resource, in which
context. Gives: a decision, and the statement that made it. Never: calls a cloud.
"""

from __future__ import annotations

from flyback.audit.iam.asked import Asked, Attached, answer
from flyback.audit.iam.document import Condition, Policy, Statement
from flyback.audit.iam.evaluate import Decision, Policies, Request, evaluate
from flyback.audit.iam.facts import Facts
from flyback.audit.iam.launches import launch_needs
from flyback.audit.iam.needs import Called, Need, UnmappedError, known_operations, needs
from flyback.audit.iam.parse import PolicyError, parse_policy
from flyback.audit.iam.principal import Principal
from flyback.audit.iam.unset import undecided

__all__ = [
    "Asked",
    "Attached",
    "Called",
    "Condition",
    "Decision",
    "Facts",
    "Need",
    "Policies",
    "Policy",
    "PolicyError",
    "Principal",
    "Request",
    "Statement",
    "UnmappedError",
    "answer",
    "evaluate",
    "known_operations",
    "launch_needs",
    "needs",
    "parse_policy",
    "undecided",
]
