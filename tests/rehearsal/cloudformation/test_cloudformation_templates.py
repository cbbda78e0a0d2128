"""Templates: decoding, names, functions, parameters, and what is refused at once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.decode import decode
from flyback.rehearsal.cloudformation.intrinsics import Resolver
from flyback.rehearsal.cloudformation.template import parse

LOGS = "Resources: {G: {Type: AWS::Logs::LogGroup}}"


class Nowhere:
    """Surroundings of a template that refers to little."""

    def ref(self, logical_id: str) -> str:
        return f"id-of-{logical_id}"

    def attribute(self, logical_id: str, name: str) -> Any:
        return f"{name}-of-{logical_id}"

    def zones(self, region: str) -> list[str]:
        return [f"{region}a", f"{region}b"]

    def imported(self, name: str) -> str:
        return f"imported-{name}"

    def ssm(self, name: str) -> str:
        return f"stored-{name}"


def resolved(value: str, sections: str = "", **parameters: Any) -> Any:
    """A YAML value, resolved."""
    body = f"{sections}\nResources:\n  G:\n    Type: T\n    Properties:\n      V: {value}\n"
    values = {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", **parameters}
    resolver = Resolver(template=parse(body), parameters=values, surroundings=Nowhere())
    properties = resolver.resolve(resolver.template.resources["G"].properties)
    return properties.get("V", "nothing")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("!Ref Env", "dev"),
        ("!Ref G", "id-of-G"),
        ("!GetAtt G.A.B", "A.B-of-G"),
        ("{'Fn::GetAtt': [G, Arn]}", "Arn-of-G"),
        ('!Sub "${Env}-${AWS::Region}-${G.Arn}-${!Literal}"', "dev-us-east-1-Arn-of-G-${Literal}"),
        ('!Sub ["${Own}/${Env}", {Own: !Ref G}]', "id-of-G/dev"),
        ('!Join ["-", [a, !Ref Env, 7, true]]', "a-dev-7-true"),
        ('!Join [",", !Ref Many]', "x,y"),
        ("!Select [1, [a, b]]", "b"),
        ("!Select [\"0\", !GetAZs '']", "us-east-1a"),
        ("!GetAZs eu-west-1", ["eu-west-1a", "eu-west-1b"]),
        ('!Split [",", "a,b"]', ["a", "b"]),
        ("!Base64 text", base64.b64encode(b"text").decode()),
        ("!Base64 {'Fn::Sub': '${Env}!'}", base64.b64encode(b"dev!").decode()),
        ("{'Fn::Base64': !Sub '${Env}!'}", base64.b64encode(b"dev!").decode()),
        ("!Cidr [10.1.0.0/16, 3, 12]", ["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/20"]),
        ("!ImportValue there", "imported-there"),
        ("!FindInMap [Sizes, !Ref Env, Gib]", 50),
        ("!If [IsDev, small, large]", "small"),
        ("!If [IsProd, small, !Ref AWS::NoValue]", "nothing"),
        ("[a, !If [IsProd, b, !Ref AWS::NoValue], c]", ["a", "c"]),
        ("!If [Both, 1, 2]", 1),
        ("!If [Either, 1, 2]", 1),
        ("!If [Neither, 1, 2]", 2),
        ("{Version: 2012-10-17, Condition: {Bool: {a: 'true'}}}", None),
        ("'{{resolve:ssm:/a/b}}-x'", "stored-/a/b-x"),
    ],
)
def test_functions_resolve_as_documented(value: str, expected: Any) -> None:
    """Every intrinsic function in long and short form, nested, with NoValue removing its holder."""
    sections = (
        "Mappings: {Sizes: {dev: {Gib: 50}}}\n"
        "Conditions:\n"
        "  IsDev: !Equals [!Ref Env, dev]\n"
        "  IsProd: !Not [!Condition IsDev]\n"
        "  Both: !And [!Condition IsDev, !Equals [1, '1']]\n"
        "  Either: !Or [!Condition IsProd, !Condition IsDev]\n"
        "  Neither: !And [!Condition IsDev, !Condition IsProd]\n"
    )
    if expected is None:  # a policy's date and its own Condition are no functions
        expected = {"Version": "2012-10-17", "Condition": {"Bool": {"a": "true"}}}
    assert resolved(value, sections, Env="dev", Many=["x", "y"]) == expected


@given(st.lists(st.text("abc{}$! ", max_size=8), max_size=4))
def test_sub_leaves_text_without_variables_alone(parts: list[str]) -> None:
    """Fn::Sub changes nothing but ${Name} and ${!Literal}."""
    text = "$".join(parts)
    body = json.dumps({"Resources": {"G": {"Type": "T", "Properties": {"V": {"Fn::Sub": text}}}}})
    resolver = Resolver(template=parse(body), parameters={}, surroundings=Nowhere())
    if "${" not in text:
        assert resolver.resolve(resolver.template.resources["G"].properties) == {"V": text}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("A: b: c", "Template format error: YAML not well-formed. (line 1, column 5)"),
        ('{"Resources": }', "Template format error: JSON not well-formed. (line 1, column 15)"),
        ("plain", "Template format error: unsupported structure."),
        ("Resources: {G: }", "[/Resources/G] 'null' values are not allowed in templates"),
        ("A: 1\nA: 2", "Template format error: duplicate key 'A' (line 2)."),
        ('{"A": 1, "A": 2}', "Template format error: duplicate key 'A'."),
        (
            "A: &x 1\nB: *x",
            "Template format error: YAML aliases are not allowed in CloudFormation templates",
        ),
        (
            "Description: x",
            "Template format error: At least one Resources member must be defined.",
        ),
        (f"{LOGS}\nOuputs: {{}}", "Invalid template property or properties [Ouputs]"),
        (
            "Resources: {G: {Properties: {}}}",
            "Template format error: Every Resources object must contain a Type member.",
        ),
        (
            "Resources: {G: {Type: T, Propertys: {}}}",
            "Invalid template resource property 'Propertys'",
        ),
        (
            "Resources: {g-1: {Type: T}}",
            "Template format error: Resource name g-1 is non alphanumeric.",
        ),
        (
            f"AWSTemplateFormatVersion: '2011-01-01'\n{LOGS}",
            "Template format error: unsupported value for AWSTemplateFormatVersion.",
        ),
    ],
)
def test_malformed_templates_are_refused_in_aws_words(body: str, sentence: str) -> None:
    """Each shape that CloudFormation can't read has its sentence."""
    with pytest.raises(AwsError) as caught:
        parse(body)
    assert str(caught.value) == f"ValidationError: {sentence}"


@pytest.mark.parametrize(
    "body",
    [
        f"Transform: AWS::Serverless-2016-10-31\n{LOGS}",
        f"Rules: {{}}\n{LOGS}",
        "Resources: {G: {Type: T, UpdatePolicy: {}}}",
    ],
)
def test_what_only_aws_does_is_said_not_skipped(body: str) -> None:
    """Macros, rules and update policies are refused as not emulated."""
    with pytest.raises(AwsError, match="not emulated") as caught:
        parse(body)
    assert (caught.value.code, caught.value.status) == ("NotEmulated", 501)


def test_yaml_dates_and_json_are_plain_text() -> None:
    """`Version: 2012-10-17` without quotes stays text, and JSON says the same as YAML."""
    assert decode("A: 2010-09-09\nB: [yes, 1, 1.5]") == {"A": "2010-09-09", "B": [True, 1, 1.5]}
    assert decode('{"A": "2010-09-09", "B": [true, 1, 1.5]}') == decode(
        "A: 2010-09-09\nB: [yes, 1, 1.5]"
    )


GROUP = "Type: AWS::Logs::LogGroup"
PARAMETER = "Type: AWS::SSM::Parameter, Properties: {Type: String, Value:"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "Resources: {A: {Type: AWS::S3::Bukket}, B: {Type: Custom::Thing}}",
            "Template format error: Unrecognized resource types: [AWS::S3::Bukket, Custom::Thing]",
        ),
        (
            f"Resources: {{A: {{{PARAMETER} !Ref Nobody}}}}}}",
            (
                "Template format error: Unresolved resource dependencies [Nobody] in the Resources "
                "block of the template"
            ),
        ),
        (
            f"Resources: {{A: {{{GROUP}, DependsOn: Nobody}}}}",
            (
                "Template format error: Unresolved resource dependencies [Nobody] in the Resources "
                "block of the template"
            ),
        ),
        (
            f"Resources: {{A: {{{GROUP}}}}}\nOutputs: {{O: {{Value: !Sub '${{Nobody}}'}}}}",
            (
                "Template format error: Unresolved resource dependencies [Nobody] in the Outputs "
                "block of the template"
            ),
        ),
        (
            f"Resources: {{A: {{{PARAMETER} !GetAtt Nobody.Arn}}}}}}",
            "Template error: instance of Fn::GetAtt references undefined resource Nobody",
        ),
        (
            f"Resources: {{G: {{{GROUP}}}, A: {{{PARAMETER} !GetAtt G.Size}}}}}}",
            "Template error: resource G does not support attribute type Size in Fn::GetAtt",
        ),
        (
            f"Resources: {{A: {{{PARAMETER} !Ref B}}}}, B: {{{PARAMETER} !Ref A}}}}}}",
            "Circular dependency between resources: [A, B]",
        ),
        (
            f"Resources: {{A: {{{GROUP}, Condition: Nope}}}}",
            (
                "Template format error: Unresolved condition dependency Nope in the Resources "
                "block of the template"
            ),
        ),
        (
            f"Conditions: {{C: !Equals [!Ref A, x]}}\nResources: {{A: {{{GROUP}}}}}",
            (
                "Template error: Unresolved dependencies [A]. Cannot reference resources in the "
                "Conditions block of the template"
            ),
        ),
        (
            f"Parameters: {{P: {{Type: Strin}}}}\nResources: {{A: {{{GROUP}}}}}",
            "Template format error: Unrecognized parameter type: Strin (P)",
        ),
        (
            f"Parameters: {{P: {{Type: String, Defalt: x}}}}\nResources: {{A: {{{GROUP}}}}}",
            "Invalid template parameter property 'Defalt'",
        ),
    ],
)
def test_names_that_lead_nowhere_are_refused(cloud: Any, body: str, sentence: str) -> None:
    """CreateStack and ValidateTemplate refuse them alike, and nothing is made."""
    expected = f"ValidationError: {sentence}"
    assert cloud.refused("CreateStack", StackName="demo", TemplateBody=body) == expected
    assert cloud.refused("ValidateTemplate", TemplateBody=body) == expected
    assert cloud.call("ListStacks")["StackSummaries"] == []


def test_an_unsupported_function_is_named(cloud: Any) -> None:
    """Fn::ToJsonString needs a transform and is refused."""
    body = f"Resources: {{A: {{{PARAMETER} {{'Fn::ToJsonString': {{}}}}}}}}}}"
    found = cloud.refused("ValidateTemplate", TemplateBody=body)
    assert found.startswith(
        "ValidationError: Template error: Encountered unsupported function: Fn::ToJsonString"
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (
            "Resources: {T: {Type: AWS::DynamoDB::Table}}",
            "the resource types AWS::DynamoDB::Table",
        ),
        (
            "Resources: {B: {Type: AWS::S3::Bucket, Properties: {WebsiteConfiguration: {}}}}",
            "the property WebsiteConfiguration of AWS::S3::Bucket",
        ),
    ],
)
def test_types_and_properties_beyond_the_rehearsal_are_named(
    cloud: Any, body: str, what: str
) -> None:
    """AWS knows them, the rehearsal does not, and says so before anything is made."""
    assert cloud.refused("CreateStack", StackName="demo", TemplateBody=body) == (
        f"NotEmulated: not emulated: {what}"
    )


def test_a_template_body_may_have_51200_bytes(cloud: Any) -> None:
    """One byte more is refused; the limit counts bytes, not characters."""
    room = 51_200 - len(LOGS.encode()) - len("\n#")
    assert cloud.call("ValidateTemplate", TemplateBody=f"{LOGS}\n#{'x' * room}")
    assert cloud.refused("ValidateTemplate", TemplateBody=f"{LOGS}\n#{'x' * (room - 1)}é") == (
        "ValidationError: 1 validation error detected: Value at 'templateBody' failed to satisfy "
        "constraint: Member must have length less than or equal to 51200"
    )


def test_a_longer_template_comes_by_url(cloud: Any) -> None:
    """TemplateURL is fetched from the emulated S3, whatever form the address has."""
    cloud.client("s3").create_bucket(Bucket="artifacts")
    body = f"{LOGS}\n#{'x' * 60_000}"
    cloud.client("s3").put_object(Bucket="artifacts", Key="a/t.yaml", Body=body.encode())
    for url in (
        "https://s3.us-east-1.amazonaws.com/artifacts/a/t.yaml",
        "https://artifacts.s3.us-east-1.amazonaws.com/a/t.yaml",
        "http://127.0.0.1:5000/artifacts/a/t.yaml",
    ):
        assert cloud.call("ValidateTemplate", TemplateURL=url)["Parameters"] == []
    missing = "https://s3.amazonaws.com/artifacts/nothing"
    assert cloud.refused("ValidateTemplate", TemplateURL=missing).startswith(
        "ValidationError: S3 error:"
    )


TYPED = """
Parameters:
  P: {Type: %s}
Resources:
  A:
    Type: AWS::SSM::Parameter
    Properties: {Name: /a, Type: String, Value: !Sub "[${AWS::StackName}]"}
Outputs:
  P: {Value: %s}
"""


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("String, AllowedValues: [a, b]", "c", "Parameter 'P' must be one of AllowedValues"),
        ("String, AllowedPattern: '[a-z]+'", "ab1", "Parameter 'P' must match pattern [a-z]+"),
        ("String, MinLength: 3", "ab", "Parameter 'P' must contain at least 3 characters"),
        ("String, MaxLength: 1", "ab", "Parameter 'P' must contain at most 1 characters"),
        ("Number", "x", "Parameter 'P' must be a number"),
        ("Number, MinValue: 8", "7", "Parameter 'P' must be a number not less than 8"),
        ("Number, MaxValue: 8", "9", "Parameter 'P' must be a number not greater than 8"),
        ("List<Number>", "1, x", "Parameter 'P' must be a number"),
        (
            "CommaDelimitedList, AllowedValues: [a]",
            "a, b",
            "Parameter 'P' must be one of AllowedValues",
        ),
        (
            "String, AllowedPattern: a, ConstraintDescription: only a",
            "b",
            "Parameter P failed to satisfy constraint: only a",
        ),
        (
            "AWS::EC2::VPC::Id",
            "vpc-0123456789abcdef0",
            (
                "Parameter validation failed: parameter value vpc-0123456789abcdef0 for parameter "
                "name P does not exist"
            ),
        ),
        (
            "AWS::SSM::Parameter::Value<String>",
            "/none",
            "Unable to fetch parameters [/none] from parameter store for this account.",
        ),
    ],
)
def test_parameters_that_break_a_constraint_are_refused(
    cloud: Any, kind: str, value: str, sentence: str
) -> None:
    """Each constraint has AWS's sentence, ConstraintDescription replaces it, nothing is made."""
    body = TYPED % (kind, "x")
    found = cloud.refused(
        "CreateStack",
        StackName="demo",
        TemplateBody=body,
        Parameters=[{"ParameterKey": "P", "ParameterValue": value}],
    )
    assert found == f"ValidationError: {sentence}"


@pytest.mark.parametrize(
    ("kind", "value", "use", "expected"),
    [
        ("Number", "7", "!Ref P", "7"),
        ("CommaDelimitedList", "a, b", "!Join ['+', !Ref P]", "a+b"),
        ("List<Number>", "1,2", "!Select [1, !Ref P]", "2"),
        ("AWS::SSM::Parameter::Value<String>", "/there", "!Ref P", "stored"),
        ("AWS::EC2::AvailabilityZone::Name", "us-east-1a", "!Ref P", "us-east-1a"),
    ],
)
def test_parameters_take_the_value_of_their_type(
    cloud: Any, kind: str, value: str, use: str, expected: str
) -> None:
    """Lists are split, SSM parameters looked up, ids checked against the account."""
    cloud.client("ssm").put_parameter(Name="/there", Value="stored", Type="String")
    given = [{"ParameterKey": "P", "ParameterValue": value}]
    assert cloud.create(TYPED % (kind, use), Parameters=given) == "CREATE_COMPLETE"
    assert cloud.outputs() == {"P": expected}


def test_missing_and_unknown_parameters_are_listed(cloud: Any) -> None:
    """All names at once, in AWS's two sentences."""
    body = f"Parameters: {{A: {{Type: String}}, B: {{Type: String}}}}\n{LOGS}"
    assert cloud.refused("CreateStack", StackName="demo", TemplateBody=body) == (
        "ValidationError: Parameters: [A, B] must have values"
    )
    given = [{"ParameterKey": key, "ParameterValue": "x"} for key in ("A", "B", "D", "C")]
    found = cloud.refused("CreateStack", StackName="demo", TemplateBody=body, Parameters=given)
    assert found == "ValidationError: Parameters: [C, D] do not exist in the template"


def test_summary_and_validation_tell_what_a_template_asks(cloud: Any) -> None:
    """Parameters with defaults, types and constraints; capabilities with their reason."""
    body = """
Description: about
Metadata: {who: me}
Parameters:
  Secret: {Type: String, NoEcho: true, Default: s}
  Kind: {Type: String, Default: a, AllowedValues: [a, b], Description: which}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
"""
    secret = {"ParameterKey": "Secret", "DefaultValue": "s", "NoEcho": True}
    kind = {
        "ParameterKey": "Kind",
        "DefaultValue": "a",
        "NoEcho": False,
        "Description": "which",
    }
    about = {
        "Description": "about",
        "Capabilities": ["CAPABILITY_IAM"],
        "CapabilitiesReason": "The following resource(s) require capabilities: [AWS::IAM::Role]",
        "DeclaredTransforms": [],
    }
    found = cloud.call("ValidateTemplate", TemplateBody=body)
    assert found == {"Parameters": [secret, kind], **about}
    allowed = {"ParameterConstraints": {"AllowedValues": ["a", "b"]}}
    assert cloud.call("GetTemplateSummary", TemplateBody=body) == {
        "Parameters": [
            {**secret, "ParameterType": "String"},
            {**kind, "ParameterType": "String", **allowed},
        ],
        "ResourceTypes": ["AWS::IAM::Role"],
        "Version": "2010-09-09",
        "Metadata": '{"who": "me"}',
        "ResourceIdentifierSummaries": [
            {
                "ResourceType": "AWS::IAM::Role",
                "LogicalResourceIds": ["Role"],
                "ResourceIdentifiers": ["RoleName"],
            }
        ],
        **about,
    }
