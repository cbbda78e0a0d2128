"""What a CloudFormation template of ours must not say.

Each rule is one function over one resource; a template is parsed JSON or YAML, intrinsic functions
left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Finding", "lint_template"]

_HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
_ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, and where."""

    resource: str
    rule: str
    sentence: str


def lint_template(template: Mapping[str, Any]) -> tuple[Finding, ...]:
    """All findings, sorted; none for a template that keeps the rules."""
    found = []
    for name, resource in template.get("Resources", {}).items():
        for rule in _RULES.get(resource.get("Type", ""), ()):
            properties = resource.get("Properties", {})
            found += [
                Finding(name, rule.__name__.strip("_").replace("_", "-"), sentence)
                for sentence in rule(properties)
            ]
    return tuple(sorted(found))


def _inbound(properties: Mapping[str, Any]) -> Iterator[str]:
    rules = properties.get("SecurityGroupIngress", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if _HTTPS.items() <= rule.items() and isinstance(
            rule.get("SourceSecurityGroupId"), Mapping
        ):
            continue  # machines call an endpoint: both are groups of this template
        source = rule.get("CidrIp") or rule.get("CidrIpv6") or "another group"
        ports = f"{rule.get('FromPort', 'all')}-{rule.get('ToPort', 'all')}"
        how = "the whole internet" if source in _ANYWHERE else source
        yield f"lets {how} in on ports {ports}; use Session Manager instead"


def _open_outbound(properties: Mapping[str, Any]) -> Iterator[str]:
    if "SecurityGroupEgress" not in properties:
        yield "names no egress rule, so AWS allows all outbound traffic"
    for rule in properties.get("SecurityGroupEgress", []):
        if str(rule.get("IpProtocol")) == "-1":
            yield "lets every protocol out; name the ports"


def _metadata_without_token(properties: Mapping[str, Any]) -> Iterator[str]:
    options = properties.get("LaunchTemplateData", {}).get("MetadataOptions", {})
    if options.get("HttpTokens") != "required":
        yield "does not require IMDSv2 tokens"
    if int(options.get("HttpPutResponseHopLimit", 2)) > 1:
        yield "has a metadata hop limit over 1, which hands the role to containers"


def _key_pair(properties: Mapping[str, Any]) -> Iterator[str]:
    if "KeyName" in properties.get("LaunchTemplateData", {}):
        yield "carries a key pair; nothing here is reached by SSH"


def _disk(properties: Mapping[str, Any]) -> Iterator[str]:
    for mapping in properties.get("LaunchTemplateData", {}).get("BlockDeviceMappings", []):
        disk, device = mapping.get("Ebs", {}), mapping.get("DeviceName")
        if disk.get("Encrypted") is not True:
            yield f"{device} is not encrypted"
        if disk.get("DeleteOnTermination") is not True:
            yield f"{device} outlives its machine"


def _outlives_shutdown(properties: Mapping[str, Any]) -> Iterator[str]:
    data = properties.get("LaunchTemplateData", {})
    if data.get("InstanceInitiatedShutdownBehavior") != "terminate":
        yield "a machine that shuts down is stopped, not terminated, and its disk goes on billing"


def _public_bucket(properties: Mapping[str, Any]) -> Iterator[str]:
    block = properties.get("PublicAccessBlockConfiguration", {})
    for part in (
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    ):
        if block.get(part) is not True:
            yield f"{part} is not set"


def _foreign_trust(properties: Mapping[str, Any]) -> Iterator[str]:
    for statement in properties.get("AssumeRolePolicyDocument", {}).get("Statement", []):
        if statement.get("Principal") in ("*", {"AWS": "*"}):
            yield "anybody may assume it"


_RULES: Mapping[str, tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...]] = {
    "AWS::EC2::SecurityGroup": (_inbound, _open_outbound),
    "AWS::EC2::LaunchTemplate": (_metadata_without_token, _key_pair, _disk, _outlives_shutdown),
    "AWS::S3::Bucket": (_public_bucket,),
    "AWS::IAM::Role": (_foreign_trust,),
}
