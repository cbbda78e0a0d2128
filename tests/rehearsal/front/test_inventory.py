"""The inventory sees whatever is made, and is equal again once it is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from flyback.rehearsal.cloud import RehearsalCloud

REGION = "us-east-1"
STATEMENT = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}


def kinds(cloud: RehearsalCloud) -> dict[str, Any]:
    return {kind: found for kind, found in json.loads(cloud.inventory()).items() if found}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {kind for kind in {*before, *after} if before.get(kind) != after.get(kind)}


def test_a_fresh_account_has_what_aws_gives_it(cloud: RehearsalCloud) -> None:
    """The default network and nothing else, in canonical JSON, and looking changes nothing."""
    first = cloud.inventory()
    assert set(kinds(cloud)) == {
        "ec2:vpc",
        "ec2:subnet",
        "ec2:security-group",
        "ec2:route-table",
    }
    assert cloud.inventory() == first
    assert first == json.dumps(json.loads(first), sort_keys=True, indent=1)
    assert cloud.journal.mutating() == ()
    assert {entry.via for entry in cloud.journal.entries()} == {"inventory"}


Maker = Callable[[Callable[..., Any]], Callable[[], Any]]


def bucket(clients: Callable[..., Any]) -> Callable[[], Any]:
    s3 = clients("s3", REGION)
    s3.create_bucket(Bucket="seen")
    return lambda: s3.delete_bucket(Bucket="seen")


def log_group(clients: Callable[..., Any]) -> Callable[[], Any]:
    logs = clients("logs", REGION)
    logs.create_log_group(logGroupName="/seen")
    return lambda: logs.delete_log_group(logGroupName="/seen")


def repository(clients: Callable[..., Any]) -> Callable[[], Any]:
    ecr = clients("ecr", REGION)
    ecr.create_repository(repositoryName="seen")
    return lambda: ecr.delete_repository(repositoryName="seen")


def topic(clients: Callable[..., Any]) -> Callable[[], Any]:
    sns = clients("sns", REGION)
    arn = sns.create_topic(Name="seen")["TopicArn"]
    return lambda: sns.delete_topic(TopicArn=arn)


def parameter(clients: Callable[..., Any]) -> Callable[[], Any]:
    ssm = clients("ssm", REGION)
    ssm.put_parameter(Name="/seen", Value="1", Type="String")
    return lambda: ssm.delete_parameter(Name="/seen")


def role(clients: Callable[..., Any]) -> Callable[[], Any]:
    iam = clients("iam", REGION)
    iam.create_role(RoleName="seen", AssumeRolePolicyDocument="{}")
    return lambda: iam.delete_role(RoleName="seen")


def user(clients: Callable[..., Any]) -> Callable[[], Any]:
    iam = clients("iam", REGION)
    iam.create_user(UserName="seen")
    return lambda: iam.delete_user(UserName="seen")


def policy(clients: Callable[..., Any]) -> Callable[[], Any]:
    iam = clients("iam", REGION)
    document = {"Version": "2012-10-17", "Statement": [STATEMENT]}
    arn = iam.create_policy(PolicyName="seen", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    return lambda: iam.delete_policy(PolicyArn=arn)


def volume(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    return lambda: ec2.delete_volume(VolumeId=made)


def address(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    made = ec2.allocate_address(Domain="vpc")["AllocationId"]
    return lambda: ec2.release_address(AllocationId=made)


def key_pair(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    ec2.create_key_pair(KeyName="seen")
    return lambda: ec2.delete_key_pair(KeyName="seen")


def security_group(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    made = ec2.create_security_group(GroupName="seen", Description="d")["GroupId"]
    return lambda: ec2.delete_security_group(GroupId=made)


def launch_template(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    made = ec2.create_launch_template(
        LaunchTemplateName="seen", LaunchTemplateData={"InstanceType": "t3.micro"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    return lambda: ec2.delete_launch_template(LaunchTemplateId=made)


def internet_gateway(clients: Callable[..., Any]) -> Callable[[], Any]:
    ec2 = clients("ec2", REGION)
    made = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    return lambda: ec2.delete_internet_gateway(InternetGatewayId=made)


MAKERS: dict[str, Maker] = {
    "s3:bucket": bucket,
    "logs:log-group": log_group,
    "ecr:repository": repository,
    "sns:topic": topic,
    "ssm:parameter": parameter,
    "iam:role": role,
    "iam:user": user,
    "iam:policy": policy,
    "ec2:volume": volume,
    "ec2:address": address,
    "ec2:key-pair": key_pair,
    "ec2:security-group": security_group,
    "ec2:launch-template": launch_template,
    "ec2:internet-gateway": internet_gateway,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_made_is_seen_and_what_is_gone_is_not(cloud: RehearsalCloud, kind: str) -> None:
    """One more resource of any kind changes exactly that kind, and deleting it restores all."""
    before = kinds(cloud)
    delete = MAKERS[kind](cloud.clients)
    assert changed(before, kinds(cloud)) == {kind}
    delete()
    assert changed(before, kinds(cloud)) == set()


def test_a_machine_and_all_that_hangs_on_it(
    cloud: RehearsalCloud,
    ec2: Any,
    template: str,
    dlami: str,
    passing: Callable[[float], None],
) -> None:
    """Volume, interface and spot request are seen; once terminated only AWS's own role is left."""
    before = kinds(cloud)
    made = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template},
        ImageId=dlami,
        InstanceType="g4dn.xlarge",
        InstanceMarketOptions={"MarketType": "spot"},
        MinCount=1,
        MaxCount=1,
    )
    role = "iam:service-linked-role"
    assert changed(before, kinds(cloud)) == {
        "ec2:instance",
        "ec2:volume",
        "ec2:network-interface",
        "ec2:spot-request",
        "ec2:subnet",  # one address less
        role,
    }
    ec2.terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])
    passing(60)
    assert changed(before, kinds(cloud)) == {role}
    assert kinds(cloud)[role] == {"AWSServiceRoleForEC2Spot": {}}


def test_what_changes_inside_a_bucket_is_seen(cloud: RehearsalCloud) -> None:
    """Objects, old versions, delete markers, unfinished uploads and settings."""
    s3 = cloud.clients("s3", REGION)
    s3.create_bucket(Bucket="inside")
    states = [cloud.inventory()]

    def differs() -> bool:
        states.append(cloud.inventory())
        return states[-1] not in states[:-1]

    s3.put_bucket_versioning(Bucket="inside", VersioningConfiguration={"Status": "Enabled"})
    assert differs()
    s3.put_object(Bucket="inside", Key="k", Body=b"1")
    assert differs()
    s3.put_object(Bucket="inside", Key="k", Body=b"1")
    assert differs()
    s3.delete_object(Bucket="inside", Key="k")
    assert differs()
    upload = s3.create_multipart_upload(Bucket="inside", Key="k")["UploadId"]
    assert differs()
    s3.abort_multipart_upload(Bucket="inside", Key="k", UploadId=upload)
    assert not differs()
    s3.put_bucket_tagging(Bucket="inside", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert differs()


def test_images_of_a_repository_are_seen(cloud: RehearsalCloud) -> None:
    """A pushed image changes the repository that holds it."""
    ecr = cloud.clients("ecr", REGION)
    ecr.create_repository(repositoryName="images")
    before = kinds(cloud)
    manifest = {"schemaVersion": 2, "layers": [], "config": {"digest": "sha256:0"}}
    ecr.put_image(
        repositoryName="images",
        imageTag="t",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
    )
    assert changed(before, kinds(cloud)) == {"ecr:repository"}


def test_rules_and_policies_are_seen(cloud: RehearsalCloud, profile: str) -> None:
    """A widened security group and a role's new policy do not hide behind unchanged ids."""
    ec2, iam = cloud.clients("ec2", REGION), cloud.clients("iam", REGION)
    before = kinds(cloud)
    group = next(iter(before["ec2:security-group"]))
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    document = {"Version": "2012-10-17", "Statement": [STATEMENT]}
    iam.put_role_policy(RoleName=profile, PolicyName="p", PolicyDocument=json.dumps(document))
    assert changed(before, kinds(cloud)) == {"ec2:security-group", "iam:role"}
