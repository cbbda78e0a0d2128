"""How long policies may be.

Source: IAM user guide, "IAM and AWS STS quotas"; white space does not count. A role's trust policy
is taken at its default quota.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flyback.audit.iam.footprint import (
    MANAGED_POLICY_CHARACTERS,
    ROLE_POLICY_CHARACTERS,
    characters,
)
from flyback.rehearsal.call import AwsError, Call
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["LIMITED", "check_length"]

_TRUST_CHARACTERS = 2048
# Operation → of whose inline policies all together, in moto's words, and how long.
_INLINE = {
    "PutRolePolicy": ("role", ROLE_POLICY_CHARACTERS),
    "PutGroupPolicy": ("group", 5120),
    "PutUserPolicy": ("user", 2048),
}
# Operation → the parameter that holds the policy, the name of its quota, and how long.
_WHOLE = {
    "CreatePolicy": ("PolicyDocument", "PolicySize", MANAGED_POLICY_CHARACTERS),
    "CreatePolicyVersion": ("PolicyDocument", "PolicySize", MANAGED_POLICY_CHARACTERS),
    "CreateRole": ("AssumeRolePolicyDocument", "ACLSizePerRole", _TRUST_CHARACTERS),
    "UpdateAssumeRolePolicy": ("PolicyDocument", "ACLSizePerRole", _TRUST_CHARACTERS),
}
LIMITED = frozenset({*_INLINE, *_WHOLE})
"""Operations of IAM whose policy may be too long."""


def check_length(call: Call) -> None:
    """Let a policy pass that IAM takes.

    Raises:
        AwsError: it is too long, alone or with the others of its holder.
    """
    if call.operation in _WHOLE:
        parameter, quota, most = _WHOLE[call.operation]
        if _length(str(call.params.get(parameter, ""))) > most:
            raise AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {most}", 409)
        return
    kind, most = _INLINE[call.operation]
    name = str(call.params.get(f"{kind.capitalize()}Name", ""))
    documents = {**_held(kind, name), str(call.params.get("PolicyName")): _document(call.params)}
    if sum(map(_length, documents.values())) > most:
        sentence = f"Maximum policy size of {most} bytes exceeded for {kind} {name}"
        raise AwsError("LimitExceeded", sentence, 409)


def _document(params: Mapping[str, Any]) -> str:
    return str(params.get("PolicyDocument", ""))


def _held(kind: str, name: str) -> dict[str, str]:
    with LOCK:
        holders = getattr(backend("iam", "global"), f"{kind}s").values()
        return {
            policy: str(text)
            for holder in holders
            if holder.name == name
            for policy, text in holder.policies.items()
        }


def _length(text: str) -> int:
    try:
        return characters(json.loads(text))
    except ValueError:
        return len(text)  # IAM says in its own words what is wrong with it
