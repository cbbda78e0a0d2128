"""Where other evaluators decide otherwise than AWS documents, and by which feature they lack."""

from __future__ import annotations

import copy
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flyback.audit.iam import Policies, evaluate, parse_policy

_FIELDS = 6  # of an ARN
ROOT = Path(__file__).resolve().parents[3]
MINISTACK = ROOT / ".tools" / "ministack" / "bin" / "python"  # `make test-all` installs it
Statement = dict[str, Any]
Matches = Callable[[Statement], bool]


class Plain:
    """A case said without features, so that an evaluator that lacks them can be asked.

    Args:
        case: From the truth table.
    """

    def __init__(self, case: Any) -> None:
        self.case = case
        self.request = case.request
        document = case.documents.get("identity", {"Statement": []})
        self._head = {key: value for key, value in document.items() if key != "Statement"}
        self._statements: list[Statement] = document["Statement"]

    def without(self, features: frozenset[str]) -> dict[str, Any]:
        """The identity's policy with what these features say written out for this request."""
        found = []
        for statement in self._statements:
            plain: Statement | None = copy.deepcopy(statement)
            for feature, rewrite in _REWRITES.items():
                if plain is not None and feature in features:
                    plain = rewrite(self, plain)
            if plain is not None:
                found.append(plain)
        if "root" in features and self.request.principal.kind == "root":
            found.append({"Effect": "Allow", "Action": "*", "Resource": "*"})
        return {**self._head, "Statement": found}

    def matches(self, **elements: Any) -> bool:
        """Whether an Allow of everything, with these elements, allows the request."""
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*", **elements}
        if "NotResource" in statement:
            del statement["Resource"]
        policy = parse_policy({**self._head, "Statement": [statement]}, "plain")
        user = "arn:aws:iam::123456789012:user/somebody"
        plain = self.request
        if plain.principal.kind == "root":  # a root user needs no Allow
            plain = type(plain)(
                principal=type(plain.principal).from_arn(user),
                action=plain.action,
                resource=plain.resource,
                context=plain.context,
            )
        return evaluate(plain, Policies(identity=(policy,))).allowed

    def alone(self) -> str:
        """What the identity's policy decides by itself, without any other layer."""
        policy = parse_policy(self.without(frozenset()), "identity")
        found = evaluate(self.request, Policies(identity=(policy,))).reason
        return {"allowed": "allow", "explicit deny": "deny", "implicit deny": "none"}[found]


def _unconditioned(plain: Plain, statement: Statement) -> Statement | None:
    condition = statement.pop("Condition", {})
    return statement if plain.matches(Condition=condition) else None


def _resource_named(plain: Plain, statement: Statement) -> Statement | None:
    if "NotResource" not in statement:
        return statement
    named = statement.pop("NotResource")
    return {**statement, "Resource": "*"} if plain.matches(NotResource=named) else None


def _written_out(concerned: Callable[[str], bool]) -> Callable[[Plain, Statement], Any]:
    """Patterns of resources that concern a feature become `*` where they match; else they go."""

    def rewrite(plain: Plain, statement: Statement) -> Statement | None:
        if "Resource" not in statement:
            return statement
        value = statement["Resource"]
        found = []
        for pattern in value if isinstance(value, list) else [value]:
            if not concerned(pattern):
                found.append(pattern)
            elif plain.matches(Resource=pattern):
                found.append("*")
        return {**statement, "Resource": found} if found else None

    return rewrite


def _lower(_: Plain, statement: Statement) -> Statement:
    for element in {"Action", "NotAction"} & set(statement):
        value = statement[element]
        texts = value if isinstance(value, list) else [value]
        statement[element] = [text.lower() for text in texts]
    return statement


def _unquestioned(plain: Plain, statement: Statement) -> Statement | None:
    """As above, for patterns with a question mark, of actions too."""
    for element in {"Action"} & set(statement):
        value = statement[element]
        texts = value if isinstance(value, list) else [value]
        statement[element] = [
            plain.request.action if "?" in text and plain.matches(Action=text) else text
            for text in texts
        ]
    return _written_out(lambda pattern: "?" in pattern and "${" not in pattern)(plain, statement)


def _incomplete(pattern: str) -> bool:
    return "${" not in pattern and pattern != "*" and pattern.count(":") < _FIELDS - 1


_REWRITES: Mapping[str, Callable[[Plain, Statement], Statement | None]] = {
    "Condition": _unconditioned,
    "NotResource": _resource_named,
    "variables": _written_out(lambda pattern: "${" in pattern),
    "?": _unquestioned,
    "incomplete": _written_out(_incomplete),
    "case": _lower,
}

# Why moto 5.2.5 answers otherwise, feature by feature.
_MOTO: Mapping[str, str] = {
    "layers": "moto combines no resource policy, boundary or session policy with the identity's",
    "Condition": "moto takes an unmet condition for a deny, and reads only a few operators",
    "NotResource": "moto takes NotResource for any resource",
    "variables": "moto does not resolve policy variables",
    "?": "moto reads ? as in a regular expression",
    "case": "moto compares actions with their case",
    "incomplete": "moto does not complete incomplete ARNs",
    "root": "moto asks nothing of a root user, elsewhere than in its policies",
}


def _moto(plain: Plain, without: frozenset[str] = frozenset()) -> str:
    """What moto says of a case in which these features are said plainly."""
    from moto.iam.access_control import IAMPolicy, PermissionResult

    answers = {
        PermissionResult.PERMITTED: "allow",
        PermissionResult.DENIED: "deny",
        PermissionResult.NEUTRAL: "none",
    }
    action, resource = plain.request.action, plain.request.resource
    document = IAMPolicy(json.dumps(plain.without(without)))
    asked = action.lower() if "case" in without else action
    return answers[document.is_action_permitted(asked, resource)]


def _involved(case: Any) -> set[str] | None:
    """The features that moto's answer hangs on; None where it is otherwise without them too.

    A feature is involved where the policy that says the rest of them plainly is still misread.
    """
    plain, every = Plain(case), frozenset(_REWRITES) | {"root"}
    rightly = plain.alone()
    layers = {"layers"} if rightly != case.expected else set()
    if _moto(plain, every) != rightly:
        return None
    return layers | {feature for feature in every if _moto(plain, every - {feature}) != rightly}


def test_where_moto_disagrees_it_is_for_a_listed_reason(truth_table: tuple[Any, ...]) -> None:
    """Moto's own evaluator decides otherwise only where a feature decides that moto lacks.

    Said without that feature, moto decides the case rightly; with it alone, wrongly.
    """
    disagreements: Counter[str] = Counter()
    unexplained = []
    for case in truth_table:
        plain = Plain(case)
        found = _moto(plain)
        if found == case.expected:
            continue
        involved = _involved(case)
        disagreements.update(involved or ())
        if not involved:
            unexplained.append(f"{case}: moto says {found}, AWS {case.expected}")
    assert not unexplained
    assert set(disagreements) == set(_MOTO)
    assert sum(disagreements.values()) > len(truth_table) / 10, "moto has learnt: use it"


# Why ministack 1.5.33 answers otherwise: reason → title of the group → how many of its cases.
_MINISTACK: Mapping[str, Mapping[str, int]] = {
    "it does not resolve policy variables": {
        "A home directory through the console, three alternatives of one key": 1,
        "The MFA age of the request": 1,
        "Each user's own folder": 4,
        "A queue that bears the user's name": 1,
        "A tag of the principal in an ARN": 2,
        "A default for a principal without the tag": 2,
        "The three special characters": 4,
        "And in a condition": 1,
        "A variable in a string condition": 2,
        "A variable in an ARN condition": 1,
        "A variable without a value voids its statement": 1,
        "Start and stop one's own instances": 2,
    },
    "it compares numbers as binary fractions": {
        "Integers and decimals are compared exactly, whatever their length": 3,
    },
    "it takes a year for seconds, and reads no month": {
        "A year is a date of W3C's, and no count of seconds": 3,
        "So is a month, a day, a minute, and a fraction of a second": 2,
    },
    "it compares ARN conditions as strings": {
        "ArnLike compares field by field, where StringLike crosses colons": 1,
    },
    "it does not complete short ARNs": {
        "Only a queue's own topics may send": 1,
        "An incomplete ARN is completed with wildcards": 2,
    },
    "it counts a list of empty values as values": {
        "ForAllValues wants every attribute of the request in the list": 1,
        "Only these tag keys, and at least one": 1,
    },
    "it does not read NotPrincipal": {
        "All but Bob are denied; his account must be left out too": 2,
        "A session is left out by its own, its role's and its account's ARN": 2,
        "Without the account's ARN the exception may be lost": 1,
    },
    "it leaves root users and services to other parts of it": {
        "The root user has full access, except where a resource denies it": 2,
        "A service by its name": 1,
    },
}


def _ministack(cases: list[Any]) -> list[str]:
    asked = [
        {
            "documents": case.documents,
            "principal": case.request.principal.arn,
            "account": case.request.principal.account,
            "type": case.request.principal.context().get("aws:PrincipalType", ""),
            "action": case.request.action,
            "resource": case.request.resource,
            "needs": case.group.get("needs", "either"),
            "context": {
                key: list(value) if len(value) != 1 else value[0]
                for key, value in case.request.keys().items()
            },
        }
        for case in cases
    ]
    script = Path(__file__).with_name("ministack_decides.py")
    done = subprocess.run(
        [str(MINISTACK), str(script)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return list(json.loads(done.stdout))


@pytest.mark.extended
def test_where_ministack_disagrees(truth_table: tuple[Any, ...]) -> None:
    """Ministack's evaluator decides otherwise in the cases listed, each for its reason.

    The page on permissions says in how many it agrees.
    """
    cases = [case for case in truth_table if "trust" not in case.documents]
    said = _ministack(cases)
    otherwise = Counter(
        case.group["title"]
        for case, found in zip(cases, said, strict=True)
        if found != case.expected
    )
    listed: Counter[str] = Counter()
    for titles in _MINISTACK.values():
        listed.update(titles)
    assert otherwise == listed
    page = " ".join((ROOT / "docs" / "permissions.md").read_text().split())
    agreeing = len(cases) - otherwise.total()
    assert f"ministack 1.5.33 agrees in {agreeing} of the {len(cases)} cases" in page
    for reason, titles in _MINISTACK.items():
        assert f"{reason.removeprefix('it ')} ({sum(titles.values())}" in page, reason
