"""Every grant is needed, nothing more is granted, and what is refused is refused as AWS does."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import flyback.aws
from flyback.audit.iam import Attached, answer
from flyback.audit.iam.footprint import (
    MANAGED_POLICY_CHARACTERS,
    Place,
    characters,
    deployer_policy,
    parts,
    recorded,
    smallest,
)
from flyback.audit.iam.grants import Verdict, grants, judge_grants, normal, too_wide
from flyback.audit.iam.handlers import handler_rows
from flyback.audit.iam.implicit import implicit
from flyback.audit.iam.tolerated import tolerated
from flyback.audit.iam.widening import judge_widenings
from flyback.audit.iam.wildcards import nameless

_UNASKED = {"GetCallerIdentity", "CreateLogStream", "PutLogEvents"}  # anybody's; the agent's
_DEPLOYER = "arn:aws:iam::123456789012:user/deployer"
_REFUSALS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_WITH_CI = {  # while the push role's stack is made, changed or removed
    "up --ci",
    "up --ci again, with another tag",
    "up --ci with the account's provider",
    "down before up with kept data, in a private network",
    "down, the account's provider stays",
    "reap what deleted stacks left, ci too",
}
_NO_TOKEN = {"InvalidIdentityToken", "ExpiredTokenException"}  # refused before policies are asked


@pytest.mark.proof
def test_proof_iam_mutation(evidence: Any, verdicts: list[Verdict]) -> None:
    """Without any single grant a scenario fails by its name, or another program needs the grant.

    A scenario fails where a call of it is refused that it does not expect, or is not that it does.
    `tolerated` counts the grants without which only calls are refused that flyback goes on without,
    `schema` those of the deployer that no call needs, only a resource's schema lists. And no policy
    that names principals can say more without a scenario or the audit noticing.
    """
    survivors = [str(verdict.grant) for verdict in verdicts if verdict.survives]
    widened = judge_widenings((*evidence.policies, *evidence.deployer), evidence.asked)
    survivors += [item.text for item in widened if item.survives]
    unneeded = sum(verdict.implicit is not None for verdict in verdicts)
    without = sum(verdict.tolerated is not None for verdict in verdicts)
    schema = sum(verdict.by_schema for verdict in verdicts)
    print(
        f"PROOF iam-mutation grants={len(verdicts)} survivors={len(survivors)} "
        f"implicit={unneeded} tolerated={without} schema={schema}"
    )
    assert verdicts
    assert survivors == []
    scenarios = {item.scenario for item in evidence.asked}
    noticed = [verdict.noticed for verdict in verdicts if not verdict.implicit]
    assert [text for text in noticed if text.partition(": ")[0] not in scenarios] == []


@pytest.mark.proof
def test_proof_iam_scope(evidence: Any) -> None:
    """No credentials open anything beyond their scope; the right branch's token opens its role.

    Each attempt is refused at the very question that it is about.
    """
    attempts = evidence.attempts
    denied = [name for name, code in attempts.items() if code in _REFUSALS | _NO_TOKEN]
    print(f"PROOF iam-scope attempts={len(attempts)} denied={len(denied)}")
    assert len(attempts) >= 60
    assert sorted(denied) == sorted(attempts)
    assert evidence.complaints == []
    pushed = {item.action for item in evidence.asked if item.scenario == "a push from the branch"}
    assert pushed >= {"sts:AssumeRoleWithWebIdentity", "ecr:PutImage"}


def test_whose_tokens_push(evidence: Any) -> None:
    """The branch's alone: every other subject is the trust's to refuse, a bad token is STS's."""
    trust = [
        item
        for item in evidence.asked
        if item.action == "sts:AssumeRoleWithWebIdentity" and item.allowed
    ]
    subject = "token.actions.githubusercontent.com:sub"
    assert {item.context[subject] for item in trust} == {"repo:acme/lab:ref:refs/heads/main"}
    refused = {name: code for name, code in evidence.attempts.items() if name.startswith("push ")}
    by_trust = {name for name, code in refused.items() if code == "AccessDenied"}
    assert {name for name in refused if name.startswith("push from ")} <= by_trust
    assert set(refused) - by_trust == {
        "push with no audience that the provider has",
        "push with an expired token",
        "push with a foreign issuer",
        "push with a foreign signature",
        "push with no signature",
        "push with no token",
    }
    assert (
        evidence.messages["push from a fork"]
        == "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    )


def test_each_grant_is_needed(verdicts: list[Verdict]) -> None:
    """No mutant survives; every entry of the implicit list covers a grant, and cites AWS."""
    assert [str(verdict.grant) for verdict in verdicts if verdict.survives] == []
    used = {(found.statement, found.action) for item in verdicts if (found := item.implicit)}
    assert used == {(entry.statement, entry.action) for entry in implicit()}
    assert all(entry.source.startswith("https://docs.aws.amazon.com/") for entry in implicit())


def test_functions_and_buckets_are_mutated_too(verdicts: list[Verdict]) -> None:
    """Without the rule's ARN in the guardian's own policy another rule could invoke it."""
    guardians = {
        verdict.grant.path[0]: verdict.noticed
        for verdict in verdicts
        if verdict.grant.policy.holder.endswith(":function:trial-guardian")
    }
    assert set(guardians) == {"Action", "Principal", "Resource", "Condition"}
    assert guardians.pop("Condition").startswith("another rule invokes the guardian: ")
    assert all(text.startswith("a job with data and secrets: ") for text in guardians.values())
    buckets = [item.noticed for item in verdicts if item.grant.policy.name == "bucket policy"]
    assert sum(" without TLS: " in text for text in buckets) == len(buckets) - 2  # less Condition


def test_which_grants_only_a_schema_lists(evidence: Any, verdicts: list[Verdict]) -> None:
    """They are the deployer's alone; a right that some call needs too is not counted."""
    listed = {str(verdict.grant) for verdict in verdicts if verdict.by_schema}
    assert listed
    assert all(text.startswith("user/deployer") for text in listed)
    assert any(text.endswith("Action: lambda:GetRuntimeManagementConfig") for text in listed)
    called = ("Action: s3:CreateBucket", "Action: iam:PassRole", "Action: ec2:TerminateInstances")
    assert not [text for text in listed if text.endswith(called)]
    without = [item for item in evidence.asked if not item.by_schema]
    alone = judge_grants(evidence.deployer, without)
    assert {str(verdict.grant) for verdict in alone if verdict.survives} == listed


def test_which_grants_are_tolerated(verdicts: list[Verdict]) -> None:
    """Each entry of the list is of a grant that nothing else needs, and says what it is for."""
    used = {verdict.tolerated for verdict in verdicts if verdict.tolerated}
    assert used == set(tolerated().values())
    assert all(len(entry.why.split()) > 5 for entry in used)


def test_widening_any_grant_is_flagged(evidence: Any) -> None:
    """The shipped policies have no finding; `*` in place of any action or resource is one.

    A trust that says more is flagged too, and where it is the push role's some token shows it.
    """
    everybodys = (*evidence.policies, *evidence.deployer)
    assert [text for policy in everybodys for text in too_wide(policy)] == []
    unflagged = []
    for policy in everybodys:
        for grant in grants(policy):
            unflagged += [
                f"{grant}: {text}" for text, wide in grant.widened() if not list(too_wide(wide))
            ]
    assert unflagged == []
    excused = {
        (item, meant)
        for policy in everybodys
        if policy.kind == "identity"
        for statement in normal(policy.document)["Statement"]
        for action, resource in product(statement["Action"], statement["Resource"])
        for item in nameless()
        if item.covers(policy.holder, action, resource, statement)
        for meant in item.action.split()
        if meant.endswith(":*") or meant == action
    }
    listed = {(item, meant) for item in nameless() for meant in item.action.split()}
    assert listed - excused == set()
    widened = judge_widenings(everybodys, evidence.asked)
    assert [item.text for item in widened if not item.flagged] == []
    pushing = [item for item in widened if "Condition" in item.text or "StringLike" in item.text]
    assert len(pushing) > 15
    assert [item.text for item in pushing if not item.noticed] == []


def test_the_machines_role_holds_nothing_of_ec2_and_iam(evidence: Any) -> None:
    """No action of EC2 or IAM in the policy of the machines' role."""
    actions = [
        grant.text
        for policy in evidence.policies
        if policy.kind == "identity" and "-InstanceRole-" in policy.holder
        for grant in grants(policy)
        if grant.path == ("Action",)
    ]
    assert actions
    assert [action for action in actions if action.startswith(("ec2:", "iam:", "*"))] == []


def test_recorded_answers_are_the_evaluators(evidence: Any) -> None:
    """Replayed with the policies that were deployed, every question of a role is answered alike."""
    roles = {policy.holder for policy in evidence.policies if policy.kind == "identity"}
    wrong = [
        item
        for item in evidence.asked
        if item.role in roles and answer(item, evidence.policies).allowed != item.allowed
    ]
    assert wrong == []


def test_denials_speak_as_each_service_does(evidence: Any) -> None:
    """EC2 with an encoded message, S3 with the ARN in quotes, the others with the bare sentence."""
    messages = evidence.messages
    assert messages["terminate itself"].startswith(
        "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:"
        "assumed-role/trial-core-InstanceRole-"
    )
    assert (
        "because no identity-based policy allows the ec2:TerminateInstances action. "
        "Encoded authorization failure message: " in messages["terminate itself"]
    )
    assert messages["read another bucket"].endswith(
        'is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::somebody-elses/'
        'runs/k" because no identity-based policy allows the s3:GetObject action'
    )
    assert messages["list data without TLS"].endswith(
        "with an explicit deny in a resource-based policy"
    )
    assert messages["read somebody's parameter"].endswith(
        "is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:us-east-1:"
        "123456789012:parameter/prod/password because no identity-based policy allows the "
        "ssm:GetParameter action"
    )


def test_the_deployers_policy_is_what_was_recorded(evidence: Any) -> None:
    """Everything above ran as a user with the derived policy; no permission of it is left over."""
    place = Place(name="trial", account="123456789012", region="us-east-1")
    mine = [
        item
        for item in evidence.asked
        if item.principal == _DEPLOYER and item.scenario not in evidence.attempts
    ]
    without = set(smallest([item for item in mine if item.scenario not in _WITH_CI], place))
    assert sorted(without - set(recorded())) == []
    assert sorted(set(recorded()) - without) == []
    both = set(smallest(mine, place)) | without
    assert sorted(both - set(recorded(ci=True))) == []
    assert sorted(set(recorded(ci=True)) - both) == []
    for document, most in ((deployer_policy(place), 2), (deployer_policy(place, ci=True), 3)):
        shares = parts(document)
        assert len(shares) <= most  # of the 10 managed policies that a role or user may have
        assert all(characters(share) <= MANAGED_POLICY_CHARACTERS for share in shares)


def test_the_plain_policy_is_enough_without_ci(evidence: Any) -> None:
    """What was asked while no push role was made or removed is answered alike without `--ci`."""
    place = Place(name="trial", account="123456789012", region="us-east-1")
    plain = Attached(
        kind="identity", holder=_DEPLOYER, name="plain", document=deployer_policy(place)
    )
    mine = [
        item
        for item in evidence.asked
        if item.principal == _DEPLOYER
        and item.action
        and item.scenario not in _WITH_CI | set(evidence.attempts)
    ]
    reaped = {item.action for item in mine if "somebody else's push role" in item.scenario}
    assert reaped >= {"cloudformation:ListStackResources", "iam:ListRoleTags"}
    wrong = [item for item in mine if answer(item, [plain]).allowed != item.allowed]
    assert {(item.scenario, item.action, item.resource) for item in wrong} == set()


def test_what_handlers_call_was_asked_on_their_behalf(evidence: Any) -> None:
    """Each action that the table grants was asked for CloudFormation, by call or by schema.

    But for one: no scenario changes the guardian's own schedule. `extend` needs the action anyway.
    """
    made = {item.action for item in evidence.asked if item.via == "cloudformation"}
    rows = [row for rows in handler_rows().values() for row in rows]
    assert {row.action for row in rows if row.granted} - made == {"scheduler:UpdateSchedule"}


def test_every_call_of_the_products_classes_was_recorded(evidence: Any) -> None:
    """Each call that `flyback.aws` can make was made by a scenario, so the policy allows it."""
    import botocore.session
    from botocore import xform_name

    model = botocore.session.get_session()
    services = {"cloudformation", "ec2", "iam", "logs", "s3", "ssm", "service-quotas", "sts"}
    services |= {"ecr", "resourcegroupstaggingapi", "scheduler", "secretsmanager", "sns"}
    named = {
        xform_name(operation): operation
        for service in services
        for operation in model.get_service_model(service).operation_names
    }
    folder = Path(flyback.aws.__file__).parent
    called = {
        named[text]
        for path in folder.glob("*.py")
        for text in re.findall(r'_(?:call|pages)\(\s*"(\w+)"', path.read_text())
    }
    unrecorded = called - {item.operation for item in evidence.asked} - _UNASKED
    assert len(called) > 20
    assert unrecorded == set()
