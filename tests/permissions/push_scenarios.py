"""Workflows that push an image, and all the tokens and calls that must not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from flyback.rehearsal.web_identity import GITHUB

REGION, ACCOUNT, NAME = "us-east-1", "123456789012", "trial"  # as conftest.py
REPOSITORY = "acme/lab"
_OUTPUTS = f"{NAME}-outputs-{ACCOUNT}-{REGION}"
_TAKES = "sts:AssumeRoleWithWebIdentity"
_SUBJECT = f"repo:{REPOSITORY}"


def record_push(recorder: Any) -> None:
    """A workflow of the branch pushes an image, as Docker does it."""
    claims = {"aud": "sts.amazonaws.com", "sub": f"{_SUBJECT}:ref:refs/heads/main"}
    with recorder.scenario("a push from the branch"):
        token = recorder.emulated.issuers.token(claims)
        ecr = recorder.with_keys(recorder.with_token(token, recorder.role("PushRole")), "ecr")
        ecr.get_authorization_token()
        layer = b"layer"
        digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        ecr.batch_check_layer_availability(repositoryName=NAME, layerDigests=[digest])
        upload = ecr.initiate_layer_upload(repositoryName=NAME)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=NAME,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(layer) - 1,
            layerPartBlob=layer,
        )
        ecr.complete_layer_upload(repositoryName=NAME, uploadId=upload, layerDigests=[digest])
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": {"mediaType": kind, "size": len(layer), "digest": digest},
                "layers": [{"mediaType": kind, "size": len(layer), "digest": digest}],
            }
        )
        ecr.put_image(repositoryName=NAME, imageManifest=manifest, imageTag="0" * 40)
        found = ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": "0" * 40}])
        assert found["images"]


def record_push_scope(recorder: Any) -> None:
    """Whose tokens must not open the push role, and what its credentials must not open."""
    issuers, role = recorder.emulated.issuers, recorder.role("PushRole")
    right = {"aud": "sts.amazonaws.com", "sub": f"{_SUBJECT}:ref:refs/heads/main"}

    def ask(token: str) -> Callable[[], Any]:
        return lambda: recorder.with_token(token, role)

    owner, _, repository = REPOSITORY.partition("/")
    for name, subject in {
        "a foreign branch": f"{_SUBJECT}:ref:refs/heads/feature",
        "a branch whose name begins alike": f"{_SUBJECT}:ref:refs/heads/main-2",
        "a branch below the name": f"{_SUBJECT}:ref:refs/heads/main/x",
        "a fork": f"repo:mallory/{repository}:ref:refs/heads/main",
        "another repository of the owner": f"repo:{owner}/other:ref:refs/heads/main",
        "a repository whose name begins alike": f"{_SUBJECT}-2:ref:refs/heads/main",
        "an owner whose name ends alike": f"repo:x{REPOSITORY}:ref:refs/heads/main",
        "a pull request": f"{_SUBJECT}:pull_request",
        "a tag": f"{_SUBJECT}:ref:refs/tags/main",
        "an environment": f"{_SUBJECT}:environment:main",
        "the repository with other ids": "repo:acme@1/lab@2:ref:refs/heads/main",
        "a kind of reference unknown": f"{_SUBJECT}:ref:x/heads/main",
        "a subject with more before it": f"actor:x:{right['sub']}",
        "a subject of another kind": f"x:{REPOSITORY}:ref:refs/heads/main",
        "a claim in place of the reference": f"{_SUBJECT}:x:refs/heads/main",
        "a subject in capitals": right["sub"].upper(),
        "a subject of wildcards": "repo:*",
    }.items():
        recorder.attempt(f"push from {name}", _TAKES, ask(issuers.token({**right, "sub": subject})))
    for name, token in {
        "no audience that the provider has": issuers.token({**right, "aud": "https://acme.test"}),
        "an expired token": issuers.token(right, lifetime_s=-1),
        "a foreign issuer": issuers.token(right, issuer="https://issuer.test"),
        "a foreign signature": issuers.token(right).rpartition(".")[0] + ".Zm9yZWlnbg",
        "no signature": _unsigned(issuers.token(right)),
        "no token": "not.a.token",
    }.items():
        recorder.attempt(f"push with {name}", "", ask(token))
    recorder.attempt(
        "a workflow takes the machines' role",
        _TAKES,
        lambda: recorder.with_token(issuers.token(right), recorder.role("InstanceRole")),
    )
    recorder.attempt(
        "EC2 takes the push role",
        "sts:AssumeRole",
        lambda: recorder.emulated.clients("sts", REGION, "ec2").assume_role(
            RoleArn=role, RoleSessionName="i-0123456789abcdef0"
        ),
    )
    iam = recorder.emulated.clients("iam", REGION)
    (provider,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    named = {"OpenIDConnectProviderArn": provider["Arn"]}
    tags = iam.list_open_id_connect_provider_tags(**named)["Tags"]
    iam.delete_open_id_connect_provider(**named)
    others = ("https://acme.test", "sts.amazonaws.com.cn", "https://sts.amazonaws.com")
    iam.create_open_id_connect_provider(  # somebody lets other programs use the provider too
        Url=GITHUB, ClientIDList=["sts.amazonaws.com", *others], Tags=tags
    )
    for other in others:
        token = issuers.token({**right, "aud": other})
        recorder.attempt(f"push with another program's audience, {other}", _TAKES, ask(token))
    keys = recorder.with_token(issuers.token(right), role)
    clients = {
        service: recorder.with_keys(keys, service)
        for service in ("ecr", "s3", "ec2", "iam", "sts", "cloudformation")
    }
    ecr = clients["ecr"]
    recorder.emulated.clients("ecr", REGION).create_repository(repositoryName="theirs")
    attempts: dict[tuple[str, str], Callable[[], Any]] = {
        ("push to another repository", "ecr:InitiateLayerUpload"): lambda: (
            ecr.initiate_layer_upload(repositoryName="theirs")
        ),
        ("replace another repository's image", "ecr:PutImage"): lambda: ecr.put_image(
            repositoryName="theirs", imageManifest="{}"
        ),
        ("delete an image", "ecr:BatchDeleteImage"): lambda: ecr.batch_delete_image(
            repositoryName=NAME, imageIds=[{"imageTag": "0" * 40}]
        ),
        ("delete the repository", "ecr:DeleteRepository"): lambda: ecr.delete_repository(
            repositoryName=NAME
        ),
        ("let tags move", "ecr:PutImageTagMutability"): lambda: ecr.put_image_tag_mutability(
            repositoryName=NAME, imageTagMutability="MUTABLE"
        ),
        ("make a repository", "ecr:CreateRepository"): lambda: ecr.create_repository(
            repositoryName="more"
        ),
        ("read runs", "s3:GetObject"): lambda: clients["s3"].get_object(
            Bucket=_OUTPUTS, Key="runs/x/k"
        ),
        ("see machines", "ec2:DescribeInstances"): clients["ec2"].describe_instances,
        ("widen its own trust", "iam:UpdateAssumeRolePolicy"): lambda: clients[
            "iam"
        ].update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument="{}"),
        ("take the machines' role", "sts:AssumeRole"): lambda: clients["sts"].assume_role(
            RoleArn=recorder.role("InstanceRole"), RoleSessionName="theirs"
        ),
        ("delete the core stack", "cloudformation:DeleteStack"): lambda: clients[
            "cloudformation"
        ].delete_stack(StackName=f"{NAME}-core"),
    }
    for (name, refused), call in attempts.items():
        recorder.attempt(f"a workflow: {name}", refused, call)
    recorder.emulated.clients("ecr", REGION).delete_repository(repositoryName="theirs")


def _unsigned(token: str) -> str:
    """The same claims under the header of a token that nobody signs."""
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."
