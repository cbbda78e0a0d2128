"""core.yaml: what is deployed is hardened, tagged and no more than the machines need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.api import lint_all
from cfnlint.decode import decode_str

from flyback.infra import templates
from flyback.launch.network import NEEDED, OPTIONAL

TAGS = {"Project", "Environment", "Owner", "CostCenter"}
UNTAGGED = {  # CloudFormation has no tags for these types
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::InstanceProfile",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::Scheduler::Schedule",
}
# Outputs that the client reads by name.
PROMISED = {
    "DataBucketName",
    "OutputsBucketName",
    "RepositoryUri",
    "LogGroupName",
    "InstanceRoleArn",
    "InstanceProfileArn",
    "LaunchTemplateId",
    "LaunchTemplateVersion",
    "SecurityGroupId",
    "VpcId",
    "SubnetIds",
    "TopicArn",
    "ScheduleGroupName",
    "SchedulerTerminateRoleArn",
    "SchedulerInvokeRoleArn",
    "GuardianArn",
}


@pytest.fixture(scope="module")
def core() -> dict[str, Any]:
    """The template, decoded."""
    template, problems = decode_str(templates.read("core"))
    assert not problems
    return dict(template)


def _of(core: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [r["Properties"] for r in core["Resources"].values() if r["Type"] == kind]


def _machine(core: dict[str, Any]) -> dict[str, Any]:
    (template,) = _of(core, "AWS::EC2::LaunchTemplate")
    data: dict[str, Any] = template["LaunchTemplateData"]
    return data


def _role(core: dict[str, Any], name: str = "InstanceRole") -> dict[str, Any]:
    properties: dict[str, Any] = core["Resources"][name]["Properties"]
    return properties


def _statements(core: dict[str, Any], name: str = "InstanceRole") -> Iterator[dict[str, Any]]:
    for policy in _role(core, name)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


@pytest.mark.extended  # twenty seconds of a processor
def test_cfn_lint_has_nothing_to_say() -> None:
    """No finding, remarks included.

    Left out is I4010, which wants an annotation block where our comments stand.
    """
    found = lint_all(templates.read("core"))
    assert [str(match) for match in found if match.rule.id != "I4010"] == []


def test_the_body_fits_into_one_call() -> None:
    """CloudFormation takes 51,200 bytes."""
    assert len(templates.read("core").encode()) <= 51_200


def test_the_client_finds_its_outputs(core: dict[str, Any]) -> None:
    """Every output that the other rooms read is there."""
    assert set(core["Outputs"]) >= PROMISED
    assert templates.path("core").read_text() == templates.read("core")
    with pytest.raises(KeyError):
        templates.read("../core")


def test_every_parameter_has_a_default(core: dict[str, Any]) -> None:
    """The template deploys as it is, with any of the tools; each parameter says what it is."""
    for name, parameter in core["Parameters"].items():
        assert "Default" in parameter, name
        assert parameter["Description"], name


def test_bucket_names_are_one_per_account_and_region(core: dict[str, Any]) -> None:
    """Names hold account and region, and stay within 63 characters for the longest of them."""
    names = [bucket["BucketName"]["Fn::Sub"] for bucket in _of(core, "AWS::S3::Bucket")]
    assert len(set(names)) == 2
    for name in names:
        filled = name.replace("${Name}", "n" * 20).replace("${AWS::AccountId}", "1" * 12)
        assert len(filled.replace("${AWS::Region}", "ap-northeast-1")) <= 63


def test_buckets_are_hardened(core: dict[str, Any]) -> None:
    """Public access blocked, encrypted, versioned, owner enforced, leftovers expire."""
    for bucket in _of(core, "AWS::S3::Bucket"):
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert {"DaysAfterInitiation": 7} in [
            r.get("AbortIncompleteMultipartUpload") for r in rules
        ]
        assert any("NoncurrentVersionExpiration" in rule for rule in rules)


def test_buckets_refuse_plain_http(core: dict[str, Any]) -> None:
    """Each bucket's policy denies everything to everybody without TLS."""
    policies = _of(core, "AWS::S3::BucketPolicy")
    assert len(policies) == len(_of(core, "AWS::S3::Bucket"))
    for policy in policies:
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert len(statement["Resource"]) == 2


def test_only_ec2_takes_the_machines_role(core: dict[str, Any]) -> None:
    """The trust names ec2.amazonaws.com and nobody else."""
    role = _role(core)
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert "ManagedPolicyArns" not in role


def test_the_machines_role_is_no_wider_than_its_work(core: dict[str, Any]) -> None:
    """No EC2, no IAM, no wildcard action; `*` only where AWS has no resource to name."""
    actions: set[str] = set()
    unscoped: set[str] = set()
    for statement in _statements(core):
        named = statement["Action"]
        these = {named} if isinstance(named, str) else set(named)
        actions |= these
        if statement["Resource"] == "*":
            unscoped |= these
    assert not [a for a in actions if "*" in a or a.split(":")[0] in ("ec2", "iam", "sts", "kms")]
    assert unscoped == {
        "ecr:GetAuthorizationToken",
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }
    assert actions - unscoped == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
        "ssm:GetParameter",
        "secretsmanager:GetSecretValue",
    }


def test_machines_write_only_below_runs(core: dict[str, Any]) -> None:
    """Every S3 write is limited to `runs/*`; secrets to the prefix `flyback/`."""
    for statement in _statements(core):
        if "s3:PutObject" in statement["Action"]:
            assert statement["Resource"] == {"Fn::Sub": "${OutputsBucket.Arn}/runs/*"}
        if statement["Action"] in ("ssm:GetParameter", "secretsmanager:GetSecretValue"):
            assert statement["Resource"]["Fn::Sub"].endswith(("parameter/flyback/*", ":flyback/*"))


def test_nothing_comes_in(core: dict[str, Any]) -> None:
    """No inbound rule, no key pair; what goes out is named port by port.

    The endpoints of a private network take HTTPS from the machines' group, and from nobody else.
    """
    group = core["Resources"]["SecurityGroup"]["Properties"]
    endpoints = core["Resources"]["EndpointSecurityGroup"]["Properties"]
    (rule,) = endpoints["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": ["SecurityGroup", "GroupId"]}
    assert len(_of(core, "AWS::EC2::SecurityGroup")) == 2
    assert "SecurityGroupIngress" not in group
    assert group["SecurityGroupEgress"][0]["FromPort"] == 443
    assert "AWS::EC2::SecurityGroupIngress" not in {r["Type"] for r in core["Resources"].values()}
    assert "KeyName" not in _machine(core)


def test_the_machine_ends_with_its_disk(core: dict[str, Any]) -> None:
    """Shutdown terminates; the root volume is encrypted gp3, its size a parameter, and goes too."""
    machine = _machine(core)
    assert machine["InstanceInitiatedShutdownBehavior"] == "terminate"
    (disk,) = machine["BlockDeviceMappings"]
    assert disk["Ebs"] == {
        "VolumeSize": {"Ref": "RootVolumeGiB"},
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    assert "InstanceMarketOptions" not in machine


def test_metadata_needs_a_token_and_serves_tags(core: dict[str, Any]) -> None:
    """IMDSv2 required, one hop, and the instance's tags are to be read there."""
    assert _machine(core)["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "enabled",
    }


def test_everything_that_can_be_is_tagged(core: dict[str, Any]) -> None:
    """The four tags are on every resource, and on what the launch template makes."""
    for name, resource in core["Resources"].items():
        if resource["Type"] in UNTAGGED:
            continue
        properties = resource["Properties"]
        specified = properties.get("TagSpecifications", [{"Tags": properties.get("Tags", [])}])
        for specification in specified:
            assert {tag["Key"] for tag in specification["Tags"]} >= TAGS, name
    made = {s["ResourceType"]: s["Tags"] for s in _machine(core)["TagSpecifications"]}
    assert set(made) == {"instance", "volume", "network-interface"}
    assert all({tag["Key"] for tag in tags} == TAGS for tags in made.values())


def test_logs_are_kept_thirty_days_unless_told(core: dict[str, Any]) -> None:
    """Retention is set for both groups, from a parameter whose default is 30."""
    groups = _of(core, "AWS::Logs::LogGroup")
    assert len(groups) == 2
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups)
    assert core["Parameters"]["LogRetentionDays"]["Default"] == 30


def test_the_registry_forgets_by_what_its_tags_are(core: dict[str, Any]) -> None:
    """Of twelve images with commit tags ten stay: the rule looks at every image, not a prefix."""
    (repository,) = _of(core, "AWS::ECR::Repository")
    (rule,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"] == {
        "tagStatus": "any",
        "countType": "imageCountMoreThan",
        "countNumber": 10,
    }
    assert repository["EmptyOnDelete"]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"


def test_a_given_vpc_brings_none_of_ours(core: dict[str, Any]) -> None:
    """Each network resource but the security group depends on VpcId being empty."""
    network = {
        name: resource.get("Condition")
        for name, resource in core["Resources"].items()
        if resource["Type"].startswith("AWS::EC2::")
        and name not in ("SecurityGroup", "LaunchTemplate")
    }
    assert set(network.values()) == {"DedicatedVpc", "Endpoints", "Internet", "ThirdZone"}
    for name in ("Endpoints", "Internet"):
        assert core["Conditions"][name]["Fn::And"][0] == {"Condition": "DedicatedVpc"}
    assert len(_of(core, "AWS::EC2::Subnet")) == 3


def test_a_private_vpc_has_an_endpoint_per_service(core: dict[str, Any]) -> None:
    """The client prices and names exactly the services that the template gives an endpoint."""
    services = {
        endpoint["ServiceName"]["Fn::Sub"].removeprefix("com.amazonaws.${AWS::Region}.")
        for endpoint in _of(core, "AWS::EC2::VPCEndpoint")
    }
    assert services == {*NEEDED, *OPTIONAL}
