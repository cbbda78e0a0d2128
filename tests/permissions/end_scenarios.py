"""Deployments that end: in every way, in every network, beside what is somebody else's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import run_scenarios

from flyback.api.pushing import Branch, grant_push
from flyback.api.verbs import Options, deploy, remove
from flyback.infra import templates
from flyback.launch import leftovers
from flyback.launch.network import NetworkChoice
from flyback.launch.progress import silent
from flyback.rehearsal.web_identity import GITHUB

REGION, ACCOUNT, NAME, REPOSITORY = (
    "us-east-1",
    "123456789012",
    "trial",
    "acme/lab",
)  # as conftest.py
OPTIONS = Options(cloud="rehearsal", name=NAME)
_DATA = f"{NAME}-data-{ACCOUNT}-{REGION}"
_OUTPUTS = f"{NAME}-outputs-{ACCOUNT}-{REGION}"


def record_existing_provider(recorder: Any) -> None:
    """The account has an identity provider for GitHub already."""
    iam = recorder.emulated.clients("iam", REGION)
    provider = iam.create_open_id_connect_provider(Url=GITHUB, ClientIDList=["sts.amazonaws.com"])
    with recorder.scenario("up --ci with the account's provider"):
        grant_push(recorder.cloud, OPTIONS, Branch.parse(REPOSITORY), silent)
        deploy_again = dataclasses.replace(OPTIONS, tags={"Owner": "me"})
        grant_push(recorder.cloud, deploy_again, Branch.parse(REPOSITORY), silent)
    with recorder.scenario("down, the account's provider stays"):
        certificate = remove(recorder.cloud, OPTIONS, keep_data=True, report=silent)
    assert certificate.clean, certificate
    assert sum(text.startswith("kept on request") for text in certificate.exceptions) == 2
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    iam.delete_open_id_connect_provider(
        OpenIDConnectProviderArn=provider["OpenIDConnectProviderArn"]
    )


def record_somebody_elses_push_role(recorder: Any) -> None:
    """`reap` of whoever holds the plain policy, while a colleague's push role stands."""
    with recorder.scenario("reap beside somebody else's push role"):
        found = leftovers.orphans(recorder.cloud.session, NAME, recorder.cloud.clock)
        failed = leftovers.reap(recorder.cloud.session, found, recorder.cloud.clock)
    assert (found.leftovers(), failed) == ((), ())
    assert not [text for text in found.refused if "not authorized" in text]


def record_networks(recorder: Any, folder: Path) -> None:
    """A deployment that comes back to its data, in a private network and in one that is there.

    In the latter a job runs: its subnet holds no tag of ours.
    """
    ec2 = recorder.emulated.clients("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.20.0.0/24", AvailabilityZone=f"{REGION}a")[
        "Subnet"
    ]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    ec2.create_route(
        RouteTableId=tables["RouteTables"][0]["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateway,
    )
    for scenario, choice in {
        "up with kept data, in a private network": NetworkChoice(private=True),
        "up in a network that is there": NetworkChoice(vpc=vpc, subnets=(subnet,), private=False),
    }.items():
        with recorder.scenario(f"down before {scenario}"):
            remove(recorder.cloud, OPTIONS, keep_data=True, report=silent)
        with recorder.scenario(scenario):
            deploy(recorder.cloud, dataclasses.replace(OPTIONS, network=choice), silent)
    with recorder.scenario("a job in a network that is there"):
        run_scenarios.run_job(recorder, folder)


@contextmanager
def others_providers(recorder: Any) -> Iterator[None]:
    """The account has identity providers that are none of ours, GitHub's among them."""
    iam = recorder.emulated.clients("iam", REGION)
    cluster = "https://oidc.eks.us-east-1.amazonaws.com/id/0123"
    made = [
        iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])
        for url in (cluster, GITHUB)
    ]
    yield
    for provider in made:
        arn = provider["OpenIDConnectProviderArn"]
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def record_reap(recorder: Any, *, ci: bool) -> None:
    """Somebody deletes the stacks and keeps what they made, an upload among it: `reap` finds it."""
    leave(recorder, ci=ci)
    with recorder.scenario(f"reap what deleted stacks left{', ci too' if ci else ''}"):
        reap_left(recorder, ci=ci)
    again = leftovers.orphans(recorder.cloud.session, NAME, recorder.cloud.clock)
    assert again.leftovers() == ()


def leave(recorder: Any, *, ci: bool) -> None:
    """Deploy, and delete the stacks but nothing that they made."""
    deploy(recorder.cloud, OPTIONS, silent)
    if ci:
        grant_push(recorder.cloud, OPTIONS, Branch.parse(REPOSITORY), silent)
    s3 = recorder.emulated.clients("s3", REGION)
    for bucket, key in ((_DATA, "k"), (_OUTPUTS, "runs/x/k"), (_OUTPUTS, "workdirs/k")):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    stacks = recorder.emulated.clients("cloudformation", REGION)
    for name in [*([f"{NAME}-ci"] if ci else []), f"{NAME}-core"]:
        template = templates.read(name.removeprefix(f"{NAME}-"))
        body = re.sub(r"(?m)^ *(#.*|DeletionPolicy: \w+)\n", "", template)
        body = re.sub(r"(?m)^    Type: AWS::", r"    DeletionPolicy: Retain\n\g<0>", body)
        (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
        kept = [item for item in stack["Parameters"] if item["ParameterKey"] != "Owner"]
        stacks.update_stack(
            StackName=name,
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM"],
            Tags=stack["Tags"],
            # CloudFormation takes no update of deletion policies alone
            Parameters=[*kept, {"ParameterKey": "Owner", "ParameterValue": "nobody"}],
        )
        recorder.cloud.clock.sleep(900)
        stacks.delete_stack(StackName=name)
        recorder.cloud.clock.sleep(900)


def reap_left(recorder: Any, *, ci: bool) -> None:
    """Find and remove all of it."""
    session, clock = recorder.cloud.session, recorder.cloud.clock
    found = leftovers.orphans(session, NAME, clock)
    failed = leftovers.reap(session, found, clock, data=True)
    kinds = {item.kind for item in found.leftovers()}
    assert kinds >= {"role", "VPC", "bucket", "function", "multipart upload"}
    assert ("identity provider" in kinds) == ci
    assert failed == ()


def record_ends(recorder: Any, folder: Path) -> None:
    """All ways to take a deployment away, beside what is somebody else's."""
    record_networks(recorder, folder / "there")
    record_existing_provider(recorder)
    with recorder.scenario("down"):
        remove(recorder.cloud, OPTIONS, keep_data=False, report=silent)
    with others_providers(recorder):
        record_reap(recorder, ci=False)
    record_reap(recorder, ci=True)
