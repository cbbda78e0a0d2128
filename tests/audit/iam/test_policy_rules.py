"""What holds of every policy: a deny never widens, an allow never narrows."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from flyback.audit.iam import Policies, Policy, Principal, Request, evaluate, parse_policy

_PRINCIPALS = (
    "arn:aws:iam::123456789012:user/ann",
    "arn:aws:sts::123456789012:assumed-role/worker/i-1",
    "arn:aws:iam::123456789012:role/worker",
    "lambda.amazonaws.com",
    "",
)
_ACTIONS = ("s3:GetObject", "s3:PutObject", "ec2:RunInstances")
_PATTERNS = ("s3:*", "s3:GetObject", "*", "ec2:Run*", "s3:?etObject")
_RESOURCES = ("arn:aws:s3:::b/a", "arn:aws:s3:::b/b/c", "arn:aws:s3:::c")
_TARGETS = ("*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/a", "arn:aws:s3:::*/${aws:PrincipalTag/t}")
_KEYS = ("aws:RequestTag/t", "aws:SourceIp", "s3:max-keys")
_CONDITIONS: tuple[dict[str, Any], ...] = (
    {},
    {"StringEquals": {"aws:RequestTag/t": ["x", "y"]}},
    {"StringNotEquals": {"aws:RequestTag/t": "x"}},
    {"StringLikeIfExists": {"aws:RequestTag/t": "x*"}},
    {"ForAllValues:StringEquals": {"aws:RequestTag/t": ["x"]}},
    {"ForAnyValue:StringLike": {"aws:RequestTag/t": ["x*"]}},
    {"Null": {"aws:RequestTag/t": "true"}},
    {"NumericLessThan": {"s3:max-keys": "5"}},
    {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
)

_effects = st.sampled_from(("Allow", "Deny"))


def _statements(effects: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda effect, action, resource, condition: {
            "Effect": effect,
            action[0]: action[1],
            resource[0]: resource[1],
            **({"Condition": condition} if condition else {}),
        },
        effects,
        st.tuples(st.sampled_from(("Action", "NotAction")), st.sampled_from(_PATTERNS)),
        st.tuples(st.sampled_from(("Resource", "NotResource")), st.sampled_from(_TARGETS)),
        st.sampled_from(_CONDITIONS),
    )


def _read(statements: list[dict[str, Any]], kind: Any = "identity") -> Policy:
    return parse_policy({"Version": "2012-10-17", "Statement": statements}, "p", kind)


_values = st.one_of(
    st.sampled_from(("x", "xx", "z", "", "10.1.2.3", "4", "7")), st.just(("x", "z"))
)
_requests = st.builds(
    lambda principal, action, resource, context: Request(
        principal=Principal.from_arn(principal, tags={"t": "a"}),
        action=action,
        resource=resource,
        context=context,
    ),
    st.sampled_from(_PRINCIPALS),
    st.sampled_from(_ACTIONS),
    st.sampled_from(_RESOURCES),
    st.dictionaries(st.sampled_from(_KEYS), _values),
)
_some = st.lists(_statements(_effects), max_size=4)
_identities = st.builds(
    lambda identity, boundary, session: Policies(
        identity=(_read(identity),),
        boundary=None if boundary is None else (_read(boundary),),
        session=None if session is None else (_read(session),),
    ),
    _some,
    st.none() | _some,
    st.none() | _some,
)


def _with(policies: Policies, statement: dict[str, Any]) -> Policies:
    more = (*policies.identity, _read([statement]))
    return Policies(
        identity=more,
        resource=policies.resource,
        boundary=policies.boundary,
        session=policies.session,
        needs=policies.needs,
    )


@given(_requests, _identities, _statements(st.just("Deny")))
def test_adding_a_deny_never_widens(
    request: Request, policies: Policies, deny: dict[str, Any]
) -> None:
    """What is refused stays refused when a Deny is added."""
    before = evaluate(request, policies)
    after = evaluate(request, _with(policies, deny))
    assert before.allowed or not after.allowed


@given(_requests, _identities, _statements(st.just("Allow")))
def test_adding_an_allow_never_narrows(
    request: Request, policies: Policies, allow: dict[str, Any]
) -> None:
    """What is allowed stays allowed when an Allow is added."""
    before = evaluate(request, policies)
    after = evaluate(request, _with(policies, allow))
    assert after.allowed or not before.allowed


@given(_requests, _identities)
def test_no_policy_grants_nothing_and_a_limit_never_widens(
    request: Request, policies: Policies
) -> None:
    """Without any policy all is refused; taking boundary and session policy away never narrows."""
    assert not evaluate(request, Policies()).allowed
    unlimited = Policies(identity=policies.identity)
    assert evaluate(request, unlimited).allowed or not evaluate(request, policies).allowed


@given(_requests, _some, st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(
    request: Request, statements: list[dict[str, Any]], chance: Any
) -> None:
    """Shuffled statements decide alike."""
    shuffled = list(statements)
    chance.shuffle(shuffled)
    one = evaluate(request, Policies(identity=(_read(statements),)))
    other = evaluate(request, Policies(identity=(_read(shuffled),)))
    assert (one.allowed, one.reason) == (other.allowed, other.reason)


@given(_requests, _identities)
def test_the_case_of_actions_and_keys_does_not_matter(request: Request, policies: Policies) -> None:
    """Action and context keys in capitals decide alike."""
    loud = Request(
        principal=request.principal,
        action=request.action.upper(),
        resource=request.resource,
        context={key.upper(): value for key, value in request.context.items()},
    )
    assert evaluate(loud, policies).allowed == evaluate(request, policies).allowed


@given(st.text(alphabet="ab*?$:/{}é\n", max_size=8), st.text(alphabet="ab*?$:/{}é\n", max_size=8))
def test_like_means_what_it_says_for_any_text(pattern: str, text: str) -> None:
    """StringLike agrees with a plain definition of * and ?, whatever else the texts hold."""
    from flyback.audit.iam.patterns import like

    def plain(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(plain(pattern[1:], text[i:]) for i in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and plain(pattern[1:], text[1:])

    assert like(pattern, text) == plain(pattern, text)
