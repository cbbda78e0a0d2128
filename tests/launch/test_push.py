"""`up --ci`: the stack beside the core stack, the account's provider, `down`, the certificate."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from flyback.api.pushing import Branch, PushAccess, grant_push
from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.audit.iam.footprint import Place, deployer_policy, policy_of, recorded
from flyback.cli.main import cli
from flyback.errors import AccessDeniedError, NotDeployedError, ServiceError, UserError
from flyback.launch.certify import certify_account
from flyback.launch.progress import silent
from flyback.rehearsal.web_identity import GITHUB

OPTIONS = Options(cloud="rehearsal")
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with nothing in it, whose deployer may run `up --ci`."""
    place = Place(name="flyback", account="123456789012", region="us-east-1")
    folder = local_home() / "rehearsal" / "cloud"
    started = start_rehearsal(folder, region="us-east-1", policy=deployer_policy(place, ci=True))
    assert started.emulated is not None
    yield started
    started.emulated.stop()


@pytest.fixture
def plain() -> Iterator[Cloud]:
    """One whose deployer may not."""
    started = start_rehearsal(local_home() / "rehearsal" / "cloud", region="us-east-1")
    assert started.emulated is not None
    yield started
    started.emulated.stop()


def _push(cloud: Cloud, text: str) -> PushAccess:
    return grant_push(cloud, OPTIONS, Branch.parse(text), silent)


def _providers(cloud: Cloud) -> list[str]:
    assert cloud.emulated is not None
    found = cloud.emulated.clients("iam", "us-east-1").list_open_id_connect_providers()
    return [item["Arn"] for item in found["OpenIDConnectProviderList"]]


@pytest.mark.parametrize(
    ("text", "repository", "branch"),
    [
        ("acme/lab", "acme/lab", "main"),
        ("acme/lab@release/2", "acme/lab", "release/2"),
        ("acme/lab.js@feature@2", "acme/lab.js", "feature@2"),
        ("acme@12/lab@34", "acme@12/lab@34", "main"),
        ("acme@12/lab@34@dev", "acme@12/lab@34", "dev"),
        ("acme/lab@34", "acme/lab", "34"),
    ],
)
def test_branches_are_read(text: str, repository: str, branch: str) -> None:
    """With or without a branch, and with the ids that GitHub's tokens hold since 2026-07-15."""
    assert Branch.parse(text) == Branch(repository=repository, name=branch)


@pytest.mark.parametrize("text", ["", "acme", "acme/", "acme/lab@", "acme/*", "a/b@*", "a b/c"])
def test_what_names_no_branch_is_told(text: str) -> None:
    """Neither half a name nor a wildcard is taken; the remedy shows the form."""
    with pytest.raises(UserError, match="OWNER/REPO@BRANCH"):
        Branch.parse(text)


def test_there_must_be_a_registry(cloud: Cloud) -> None:
    """Without a deployment nothing is made."""
    with pytest.raises(NotDeployedError, match="run `flyback up` first"):
        _push(cloud, "acme/lab")
    assert _providers(cloud) == []


def test_up_and_down_with_a_provider_of_its_own(cloud: Cloud) -> None:
    """Made once, changed to another branch, found by the certificate, and gone after `down`."""
    deploy(cloud, OPTIONS, silent)
    first = _push(cloud, "acme/lab")
    assert first.subject == "repo:acme/lab:ref:refs/heads/main"
    assert first.repository == "123456789012.dkr.ecr.us-east-1.amazonaws.com/flyback"
    again = _push(cloud, "acme@1/lab@2@dev")
    assert again.role == first.role
    assert again.subject == "repo:acme@1/lab@2:ref:refs/heads/dev"
    assert _providers(cloud) == [PROVIDER]
    certificate = certify_account(cloud.session, "flyback", (), cloud.ledger, cloud.clock)
    (left,) = [item for item in certificate.leftovers if item.kind == "identity provider"]
    assert left.identifier == PROVIDER
    assert left.remedy.endswith(PROVIDER)
    assert any(":stack/flyback-ci/" in item.identifier for item in certificate.leftovers)
    certificate = remove(cloud, OPTIONS, keep_data=False, report=silent)
    assert certificate.clean, certificate
    assert any("stack/flyback-ci/" in check.question for check in certificate.checks)
    assert _providers(cloud) == []


def test_a_stack_of_that_name_that_is_not_ours_is_left(cloud: Cloud) -> None:
    """Neither `up --ci` changes somebody else's stack, nor `down` deletes it."""
    assert cloud.emulated is not None
    body = json.dumps({"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}})
    owner = cloud.emulated.clients("cloudformation", "us-east-1")
    owner.create_stack(StackName="flyback-ci", TemplateBody=body)
    cloud.clock.sleep(60)
    deploy(cloud, OPTIONS, silent)
    with pytest.raises(UserError, match="without the tag flyback:name=flyback"):
        _push(cloud, "acme/lab")
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    (kept,) = owner.describe_stacks(StackName="flyback-ci")["Stacks"]
    assert kept["StackStatus"] == "CREATE_COMPLETE"


def test_another_regions_provider_is_no_leftover(cloud: Cloud) -> None:
    """Deployments of one name in two regions share it; whoever made it answers for it."""
    assert cloud.emulated is not None
    iam = cloud.emulated.clients("iam", "us-east-1")
    tags = {"flyback:name": "flyback", "flyback:region": "eu-west-1"}
    iam.create_open_id_connect_provider(
        Url=GITHUB,
        ClientIDList=["sts.amazonaws.com"],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    deploy(cloud, OPTIONS, silent)
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert _providers(cloud) == [PROVIDER]


def test_the_accounts_own_provider_is_used_and_left(cloud: Cloud) -> None:
    """An account holds one for each URL; one that comes or goes meanwhile is followed."""
    assert cloud.emulated is not None
    iam = cloud.emulated.clients("iam", "us-east-1")
    iam.create_open_id_connect_provider(Url=GITHUB, ClientIDList=["sts.amazonaws.com"])
    deploy(cloud, OPTIONS, silent)
    _push(cloud, "acme/lab")
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    _push(cloud, "acme/lab")
    assert _providers(cloud) == [PROVIDER]
    tags = iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=PROVIDER)["Tags"]
    assert {"Key": "flyback:name", "Value": "flyback"} in tags
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert _providers(cloud) == []


def test_up_ci_is_refused_before_anything_is_made(
    plain: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rights that are asked for by themselves: a sentence with the flag, no change."""
    assert plain.emulated is not None
    monkeypatch.setattr(Options, "open", lambda _: plain)
    before = plain.emulated.inventory()
    refused = CliRunner().invoke(cli, ["up", "--ci", "acme/lab", "--cloud", "rehearsal"])
    assert isinstance(refused.exception, AccessDeniedError)
    assert refused.exception.exit_code == 4
    assert "what `flyback doctor --policy --ci` prints" in str(refused.exception)
    assert plain.emulated.inventory() == before


def test_a_deployment_goes_on_without_the_rights_of_ci(plain: Cloud) -> None:
    """`up` and `down` work; `up --ci` between them is refused, and nothing of it stays."""
    assert plain.emulated is not None
    deploy(plain, OPTIONS, silent)
    before = plain.emulated.inventory()
    with pytest.raises(AccessDeniedError, match="doctor --policy --ci"):
        _push(plain, "acme/lab")
    assert plain.emulated.inventory() == before
    assert remove(plain, OPTIONS, keep_data=False, report=silent).clean


def test_rights_of_ci_that_stop_half_way_leave_nothing() -> None:
    """CloudFormation may be called but no role be read back: it takes all of it away again."""
    place = Place(name="flyback", account="123456789012", region="us-east-1")
    lacking = ("iam:GetRolePolicy", "arn:{p}:iam::{a}:role/{name}-ci-*")
    wanted = [item for item in recorded(ci=True) if (item.action, item.resource) != lacking]
    policy = policy_of(wanted, place)
    started = start_rehearsal(
        local_home() / "rehearsal" / "cloud", region="us-east-1", policy=policy
    )
    assert started.emulated is not None
    deploy(started, OPTIONS, silent)
    with pytest.raises(ServiceError, match="iam:GetRolePolicy"):
        _push(started, "acme/lab")
    assert _providers(started) == []
    assert remove(started, OPTIONS, keep_data=False, report=silent).clean
    started.emulated.stop()


def test_down_says_that_the_push_roles_stack_is_asked_for_by_itself(cloud: Cloud) -> None:
    """Who may not delete it reads the flag; what bills is gone by then; `down` goes on later."""
    assert cloud.emulated is not None
    deploy(cloud, OPTIONS, silent)
    _push(cloud, "acme/lab")
    statement = {
        "Effect": "Deny",
        "Action": "cloudformation:DeleteStack",
        "Resource": "arn:aws:cloudformation:*:*:stack/flyback-ci/*",
    }
    iam = cloud.emulated.clients("iam", "us-east-1")
    named = {"UserName": "deployer", "PolicyName": "no-ci"}
    iam.put_user_policy(
        **named, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement})
    )
    with pytest.raises(AccessDeniedError, match="doctor --policy --ci"):
        remove(cloud, OPTIONS, keep_data=False, report=silent)
    assert cloud.session.cloudformation.describe("flyback-core") is None
    iam.delete_user_policy(**named)
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
