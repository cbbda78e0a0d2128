"""The template rules: silent on what we ship, loud on each planted mistake."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from cfnlint.decode import decode_str

from flyback.audit.template import lint_template
from flyback.infra import templates


def _core() -> dict[str, Any]:
    template, problems = decode_str(templates.read("core"))
    assert not problems
    return dict(template)


def test_the_shipped_template_has_no_finding() -> None:
    """core.yaml: no inbound port, IMDSv2, hop limit 1, disks that end with it."""
    assert lint_template(_core()) == ()


def _group(resources: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = resources["SecurityGroup"]["Properties"]
    return properties


def _endpoints(resources: dict[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = resources["EndpointSecurityGroup"]["Properties"][
        "SecurityGroupIngress"
    ]
    return rules


def _machine(resources: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    return data


_SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
_MISTAKES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "lets the whole internet in on ports 22-22": lambda r: _group(r).update(
        SecurityGroupIngress=[_SSH]
    ),
    "lets another group in on ports 22-443": lambda r: _endpoints(r)[0].update(FromPort=22),
    "lets another group in on ports 443-443": lambda r: _endpoints(r)[0].update(
        SourceSecurityGroupId="sg-0123456789abcdef0"
    ),
    "names no egress rule": lambda r: _group(r).pop("SecurityGroupEgress"),
    "lets every protocol out": lambda r: _group(r).update(
        SecurityGroupEgress=[{"IpProtocol": "-1"}]
    ),
    "does not require IMDSv2": lambda r: _machine(r)["MetadataOptions"].update(
        HttpTokens="optional"
    ),
    "hop limit over 1": lambda r: _machine(r)["MetadataOptions"].pop("HttpPutResponseHopLimit"),
    "carries a key pair": lambda r: _machine(r).update(KeyName="me"),
    "is not encrypted": lambda r: _machine(r)["BlockDeviceMappings"][0]["Ebs"].pop("Encrypted"),
    "outlives its machine": lambda r: _machine(r)["BlockDeviceMappings"][0]["Ebs"].update(
        DeleteOnTermination=False
    ),
    "is stopped, not terminated": lambda r: _machine(r).pop("InstanceInitiatedShutdownBehavior"),
    "BlockPublicAcls is not set": lambda r: r["DataBucket"]["Properties"][
        "PublicAccessBlockConfiguration"
    ].pop("BlockPublicAcls"),
    "anybody may assume it": lambda r: r["InstanceRole"]["Properties"]["AssumeRolePolicyDocument"][
        "Statement"
    ][0].update(Principal="*"),
}


@pytest.mark.parametrize("sentence", list(_MISTAKES))
def test_each_planted_mistake_is_one_finding(sentence: str) -> None:
    """One mistake in the shipped template gives exactly the one finding that names it."""
    template = copy.deepcopy(_core())
    _MISTAKES[sentence](template["Resources"])
    (finding,) = lint_template(template)
    assert sentence in finding.sentence
