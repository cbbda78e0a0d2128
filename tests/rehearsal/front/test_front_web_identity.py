"""Tokens of identity providers at STS, over the socket: what it believes, and in which order."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.web_identity import GITHUB

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/push"
ISSUER = "token.actions.githubusercontent.com"
CLAIMS = {"aud": "sts.amazonaws.com", "sub": "repo:acme/lab:ref:refs/heads/main"}


@pytest.fixture
def ask(cloud: RehearsalCloud) -> Callable[..., Any]:
    """Asks STS for a session, unsigned, as a workflow does; a provider and a role are there."""
    iam = cloud.clients("iam", REGION)
    provider = iam.create_open_id_connect_provider(Url=GITHUB, ClientIDList=["sts.amazonaws.com"])
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {f"{ISSUER}:sub": "repo:acme/lab:*"}},
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_role(RoleName="push", AssumeRolePolicyDocument=json.dumps(trust))
    sts = boto3.client(
        "sts",
        region_name=REGION,
        endpoint_url=cloud.endpoint,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )

    def assume(token: str, role: str = ROLE, **more: Any) -> Any:
        return sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="push-1", WebIdentityToken=token, **more
        )

    return assume


def _refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_token_opens_the_role_that_trusts_it(
    cloud: RehearsalCloud, http: Callable[..., Any], ask: Callable[..., Any]
) -> None:
    """The session is the role's, and ends when it said."""
    keys = ask(cloud.issuers.token(CLAIMS))["Credentials"]
    sts = http(
        "sts",
        key=keys["AccessKeyId"],
        secret=keys["SecretAccessKey"],
        token=keys["SessionToken"],
    )
    assert sts.get_caller_identity()["Arn"] == (
        "arn:aws:sts::123456789012:assumed-role/push/push-1"
    )
    named = "sts:AssumeRoleWithWebIdentity"
    (asked,) = [item for item in cloud.judge.asked() if item.action == named]
    assert (asked.resource, asked.allowed) == (ROLE, True)
    assert asked.context[f"{ISSUER}:sub"] == CLAIMS["sub"]


def test_a_limit_that_cannot_be_read_is_refused_here_too(
    cloud: RehearsalCloud, ask: Callable[..., Any]
) -> None:
    """AWS's own managed policies are not held; a session limited by one would have no rights."""
    limit = [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
    code, _ = _refusal(lambda: ask(cloud.issuers.token(CLAIMS), PolicyArns=limit))
    assert code == "NotEmulated"


def test_what_the_trust_refuses(cloud: RehearsalCloud, ask: Callable[..., Any]) -> None:
    """Another subject, and a role that is not there, are refused alike."""
    theirs = cloud.issuers.token({**CLAIMS, "sub": "repo:mallory/lab:ref:refs/heads/main"})
    told = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    assert _refusal(lambda: ask(theirs)) == told
    assert _refusal(lambda: ask(cloud.issuers.token(CLAIMS), f"{ROLE}-2")) == told


def test_what_is_no_token_of_the_issuers(cloud: RehearsalCloud, ask: Callable[..., Any]) -> None:
    """Unsigned, signed by another, changed after signing, of an unknown issuer, or no token."""
    good, other = cloud.issuers.token(CLAIMS), "https://issuer.test"
    header, claims, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    changed = cloud.issuers.token({**CLAIMS, "sub": "repo:acme/lab:x"}).split(".")[1]
    foreign = cloud.issuers.token(CLAIMS, issuer=other).split(".")[2]
    for token in (
        f"{unsigned}.{claims}.",
        f"{unsigned}.{claims}.{signature}",
        f"{header}.{changed}.{signature}",
        f"{header}.{claims}.{foreign}",
        f"{header}.{claims}.",
    ):
        code, message = _refusal(lambda token=token: ask(token))
        assert (code, "could not be validated" in message) == ("InvalidIdentityToken", True)
    code, message = _refusal(lambda: ask(cloud.issuers.token(CLAIMS, issuer=other)))
    assert (code, other in message) == ("InvalidIdentityToken", True)
    for token in ("none", "a.b.c", f"{header}.W10.{signature}", f"\u00e4.{claims}.x"):
        code, message = _refusal(lambda token=token: ask(token))
        assert (code, "not a valid JWT" in message) == ("InvalidIdentityToken", True)


def test_expiry_and_audience(
    cloud: RehearsalCloud, ask: Callable[..., Any], passing: Callable[[float], None]
) -> None:
    """A token lives five simulated minutes, and is for one of the provider's audiences."""
    token = cloud.issuers.token(CLAIMS)
    passing(301)
    code, message = _refusal(lambda: ask(token))
    assert (code, message.startswith("Token expired")) == ("ExpiredTokenException", True)
    other = cloud.issuers.token({**CLAIMS, "aud": "https://acme.test"})
    assert _refusal(lambda: ask(other)) == ("InvalidIdentityToken", "Incorrect token audience")


@pytest.mark.parametrize("claim", ["tags", "source_identity"])
def test_what_a_token_says_of_its_session_is_not_passed_over(
    cloud: RehearsalCloud, ask: Callable[..., Any], claim: str
) -> None:
    """Session tags and a source identity are not read from tokens, and the refusal says so."""
    name = f"https://aws.amazon.com/{claim}"
    code, message = _refusal(lambda: ask(cloud.issuers.token({**CLAIMS, name: "x"})))
    assert (code, name in message) == ("NotEmulated", True)


def test_a_tokens_session_shows_its_provider(
    cloud: RehearsalCloud, ask: Callable[..., Any]
) -> None:
    """`aws:FederatedProvider`: asked of the trust, and of whatever the session does."""
    keys = ask(cloud.issuers.token(CLAIMS))["Credentials"]
    s3 = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=cloud.endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    assert _refusal(s3.list_buckets)[0] == "AccessDenied"
    provider = f"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"
    taken, listed = cloud.judge.asked()[-2:]
    assert taken.action == "sts:AssumeRoleWithWebIdentity"
    for asked in (taken, listed):
        assert asked.context["aws:FederatedProvider"] == provider


def test_saml_is_not_emulated(cloud: RehearsalCloud) -> None:
    """An assertion that nobody checks opens nothing."""
    with pytest.raises(ClientError, match="not emulated"):
        cloud.clients("sts", REGION).assume_role_with_saml(
            RoleArn=ROLE,
            PrincipalArn="arn:aws:iam::123456789012:saml-provider/x",
            SAMLAssertion="x" * 4,
        )


def test_policies_are_only_so_long(cloud: RehearsalCloud) -> None:
    """IAM's quotas: managed, a role's inline policies together, its trust."""
    iam = cloud.clients("iam", REGION)

    def document(characters: int) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": [], "Id": "x" * characters})

    code, message = _refusal(
        lambda: iam.create_policy(PolicyName="p", PolicyDocument=document(6144))
    )
    assert (code, message) == ("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    code, _ = _refusal(
        lambda: iam.create_role(RoleName="r", AssumeRolePolicyDocument=document(2048))
    )
    assert code == "LimitExceeded"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    half = [{**statement, "Resource": f"arn:aws:s3:::b/{'x' * 5100}"}]
    text = json.dumps({"Version": "2012-10-17", "Statement": half})
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    trusting = {"Version": "2012-10-17", "Statement": [{**trust, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trusting))
    iam.put_role_policy(RoleName="r", PolicyName="one", PolicyDocument=text)
    iam.put_role_policy(RoleName="r", PolicyName="one", PolicyDocument=text)
    code, message = _refusal(
        lambda: iam.put_role_policy(RoleName="r", PolicyName="two", PolicyDocument=text)
    )
    told = "Maximum policy size of 10240 bytes exceeded for role r"
    assert (code, message) == ("LimitExceeded", told)
