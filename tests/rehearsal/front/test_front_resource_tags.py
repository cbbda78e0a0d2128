"""Policies that look at the tags of what is asked about, service by service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

REGION, ACCOUNT = "us-east-1", "123456789012"
_TAGS = [{"Key": "protected", "Value": "yes"}]
_SHORT = {"protected": "yes"}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "scheduler.amazonaws.com"},
        }
    ],
}
_STACK = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})


@dataclass(frozen=True)
class Case:
    """A tagged resource, and a call about it.

    Args:
        service: boto3's name.
        make: boto3's method that makes it, its parameters but the tags, and the tags.
        call: The method that is refused, and its parameters, `{made}` filled in.
        made: Member of the answer that names it, if AWS makes the name up.
    """

    service: str
    make: tuple[str, Mapping[str, Any], Mapping[str, Any]]
    call: tuple[str, Mapping[str, Any]]
    made: str = ""


_TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:t"
CASES = [
    Case(
        "secretsmanager",
        ("create_secret", {"Name": "flyback/s", "SecretString": "v"}, {"Tags": _TAGS}),
        ("get_secret_value", {"SecretId": "flyback/s"}),
    ),
    Case(
        "secretsmanager",
        ("create_secret", {"Name": "flyback/s", "SecretString": "v"}, {"Tags": _TAGS}),
        ("get_secret_value", {"SecretId": "{made}"}),
        "ARN",
    ),
    Case(
        "ssm",
        ("put_parameter", {"Name": "/flyback/p", "Value": "v", "Type": "String"}, {"Tags": _TAGS}),
        ("get_parameter", {"Name": "/flyback/p"}),
    ),
    Case(
        "sns",
        ("create_topic", {"Name": "t"}, {"Tags": _TAGS}),
        ("publish", {"TopicArn": _TOPIC, "Message": "m"}),
    ),
    Case(
        "ecr",
        ("create_repository", {"repositoryName": "rr"}, {"tags": _TAGS}),
        ("describe_images", {"repositoryName": "rr"}),
    ),
    Case(
        "logs",
        ("create_log_group", {"logGroupName": "/x"}, {"tags": _SHORT}),
        ("delete_log_group", {"logGroupName": "/x"}),
    ),
    Case(
        "events",
        (
            "put_rule",
            {"Name": "r", "EventPattern": json.dumps({"source": ["aws.ec2"]})},
            {"Tags": _TAGS},
        ),
        ("describe_rule", {"Name": "r"}),
    ),
    Case(
        "scheduler",
        ("create_schedule_group", {"Name": "g"}, {"Tags": _TAGS}),
        ("get_schedule_group", {"Name": "g"}),
    ),
    Case(
        "cloudformation",
        ("create_stack", {"StackName": "s", "TemplateBody": _STACK}, {"Tags": _TAGS}),
        ("describe_stacks", {"StackName": "s"}),
    ),
    Case(
        "iam",
        (
            "create_role",
            {"RoleName": "r", "AssumeRolePolicyDocument": json.dumps(_TRUST)},
            {"Tags": _TAGS},
        ),
        ("get_role", {"RoleName": "r"}),
    ),
    Case(
        "iam",
        ("create_user", {"UserName": "u"}, {"Tags": _TAGS}),
        ("get_user", {"UserName": "u"}),
    ),
    Case(
        "iam",
        ("create_instance_profile", {"InstanceProfileName": "p"}, {"Tags": _TAGS}),
        ("get_instance_profile", {"InstanceProfileName": "p"}),
    ),
    Case(
        "cloudwatch",
        (
            "put_metric_alarm",
            {
                "AlarmName": "a",
                "ComparisonOperator": "GreaterThanThreshold",
                "EvaluationPeriods": 1,
                "MetricName": "m",
                "Namespace": "n",
                "Period": 60,
                "Statistic": "Sum",
                "Threshold": 1.0,
            },
            {"Tags": _TAGS},
        ),
        ("delete_alarms", {"AlarmNames": ["a"]}),
    ),
]
_REFUSALS = ("AccessDenied", "AccessDeniedException", "AuthorizationError")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.call[0]}{case.made}")
def test_what_is_tagged_so_is_denied(
    cloud: RehearsalCloud, http: Callable[..., Any], case: Case
) -> None:
    """Who may do everything but with what is protected, may with what is not."""
    iam = cloud.clients("iam", REGION)
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    protected = {"StringEquals": {"aws:ResourceTag/protected": "yes"}}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    but = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": protected}
    document = {"Version": "2012-10-17", "Statement": [everything, but]}
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=json.dumps(document))
    client = http(case.service, key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    method, params, tags = case.make
    made = getattr(cloud.clients(case.service, REGION), method)(**params, **tags)
    name, wanted = case.call
    wanted = {
        parameter: made[case.made] if value == "{made}" else value
        for parameter, value in wanted.items()
    }
    with pytest.raises(ClientError) as refused:
        getattr(client, name)(**wanted)
    assert refused.value.response["Error"]["Code"] in _REFUSALS
    denial = next(item for item in cloud.judge.asked() if not item.allowed)
    assert denial.context["aws:ResourceTag/protected"] == "yes"
    statement = {**but, "Condition": {"StringEquals": {"aws:ResourceTag/protected": "no"}}}
    document = {"Version": "2012-10-17", "Statement": [everything, statement]}
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=json.dumps(document))
    getattr(client, name)(**wanted)


@pytest.mark.parametrize(
    ("name", "code"),
    [("/flyback/p:9", "ParameterVersionNotFound"), ("/flyback/p:nine", "ParameterNotFound")],
)
def test_a_version_that_is_not_there_is_the_services_to_refuse(
    cloud: RehearsalCloud, name: str, code: str
) -> None:
    """Judging looks for the parameter's tags, and lets Systems Manager say what is wrong."""
    ssm = cloud.clients("ssm", REGION)
    ssm.put_parameter(Name="/flyback/p", Value="v", Type="String")
    with pytest.raises(ClientError) as refused:
        ssm.get_parameter(Name=name)
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:sns:bogus:{ACCOUNT}:t",
        f"arn:aws:secretsmanager::{ACCOUNT}:secret:s-123456",
        f"arn:aws:secretsmanager:bogus:{ACCOUNT}:secret:s-123456",
        f"arn:aws:ec2:bogus:{ACCOUNT}:vpc/vpc-1",
    ],
)
def test_where_there_is_no_such_region_nothing_is_known(cloud: RehearsalCloud, arn: str) -> None:
    """An ARN that a request names may say anything: it has no tags and no attributes then."""
    from flyback.rehearsal.iam.facts import AccountFacts

    assert cloud.endpoint
    facts = AccountFacts(REGION, {})
    assert (facts.canonical(arn), facts.tags(arn), facts.attributes(arn)) == (arn, {}, {})


def test_a_version_of_a_parameter_has_the_parameters_tags(cloud: RehearsalCloud) -> None:
    """`name:version` is the same parameter."""
    ssm = cloud.clients("ssm", REGION)
    ssm.put_parameter(Name="/flyback/p", Value="v", Type="String", Tags=_TAGS)
    ssm.get_parameter(Name="/flyback/p:1")
    assert cloud.judge.asked()[-1].context["aws:ResourceTag/protected"] == "yes"


def test_a_functions_tags_are_its_own(cloud: RehearsalCloud) -> None:
    """Lambda's functions, which moto does not hold, are asked about with their tags too."""
    from flyback.rehearsal.functions.state import Code, Function

    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    cloud.registry.put(
        Function(
            name="f",
            arn=arn,
            region=REGION,
            settings={"Role": "r", "Runtime": "python3.13", "Handler": "h.h"},
            code=Code(data=b""),
            modified=0.0,
            tags=_SHORT,
        )
    )
    cloud.clients("lambda", REGION).get_function_configuration(FunctionName="f")
    asked = cloud.judge.asked()[-1]
    assert asked.context["aws:ResourceTag/protected"] == "yes"
    assert "lambda:ResourceTag/protected" not in asked.context


def test_a_role_that_is_taken_is_known_by_its_tags(cloud: RehearsalCloud) -> None:
    """`iam:ResourceTag`, the key of the service that keeps the role, where STS asks."""
    trust = json.loads(json.dumps(_TRUST))
    trust["Statement"][0]["Condition"] = {"StringEquals": {"iam:ResourceTag/protected": "yes"}}
    iam = cloud.clients("iam", REGION)
    sts = cloud.clients("sts", REGION, "scheduler")
    for tags, refused in ((_TAGS, False), ([], True)):
        name = f"r{len(tags)}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=tags)
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        try:
            sts.assume_role(RoleArn=arn, RoleSessionName="session")
        except ClientError:
            assert refused
        else:
            assert not refused
