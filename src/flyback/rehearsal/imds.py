"""The instance metadata service of one simulated machine, version 2 only.

Behaves as the EC2 user guide describes IMDSv2: a session token by PUT with a lifetime, 401 without
one, text for values, one name a line for folders (those ending in a slash), 404 for the rest.
Lifetimes count in simulated time.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

__all__ = ["Answer", "Facts", "Imds", "Profile"]

_LONGEST_TOKEN_S = 21_600
_TTL = "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105  # a header's name


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An instance profile and its role."""

    arn: str
    profile_id: str
    role: str
    role_arn: str


class Facts(Protocol):
    """What the service knows about its machine."""

    def describe(self) -> Mapping[str, Any]:
        """The instance, as DescribeInstances has it, with its reservation's `OwnerId`."""
        ...

    def user_data(self) -> bytes | None:
        """What the machine was launched with."""
        ...

    def profile(self) -> Profile | None:
        """The instance profile that the machine has."""
        ...

    def credentials(self) -> Mapping[str, str]:
        """The role's credentials document, as the service shows it."""
        ...


class Imds:
    """Answers the requests that a machine makes of its metadata service.

    Args:
        facts: About the machine.
        now: Simulated time, in seconds since the epoch.
        chance: Makes the session tokens.
    """

    def __init__(self, facts: Facts, now: Callable[[], float], chance: random.Random) -> None:
        self._facts = facts
        self._now = now
        self._chance = chance
        self._tokens: dict[str, float] = {}
        self._notices: dict[str, str] = {}

    def notice(self, action: str, at: float) -> None:
        """Announce that EC2 takes the machine away.

        Args:
            action: `terminate`, `stop` or `hibernate`.
            at: Simulated time of it.
        """
        document = {"action": action, "time": _timestamp(at)}
        self._notices["spot/instance-action"] = json.dumps(document)
        if action == "terminate":
            self._notices["spot/termination-time"] = _timestamp(at)

    def recommend_rebalance(self, at: float) -> None:
        """Announce that the machine is at a raised risk of being taken away."""
        self._notices["events/recommendations/rebalance"] = json.dumps(
            {"noticeTime": _timestamp(at)}
        )

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request.

        Args:
            method: HTTP method.
            path: As it was sent.
            headers: Names in lower case.
        """
        path = unquote(path.partition("?")[0])
        if method == "PUT" and path == "/latest/api/token":
            return self._new_token(headers)
        if method not in ("GET", "HEAD"):
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        if self._tokens.get(headers.get(_TOKEN, ""), 0.0) <= self._now():
            return _error(HTTPStatus.UNAUTHORIZED)
        if self._option("HttpEndpoint") == "disabled":
            return _error(HTTPStatus.FORBIDDEN)
        found = self._find([part for part in path.split("/") if part])
        return _error(HTTPStatus.NOT_FOUND) if found is None else Answer(body=found)

    def _new_token(self, headers: Mapping[str, str]) -> Answer:
        if "x-forwarded-for" in headers:
            return _error(HTTPStatus.FORBIDDEN)
        lifetime = headers.get(_TTL, "")
        if not lifetime.isascii() or not lifetime.isdigit():
            return _error(HTTPStatus.BAD_REQUEST)
        seconds = int(lifetime)
        if not 1 <= seconds <= _LONGEST_TOKEN_S:
            return _error(HTTPStatus.BAD_REQUEST)
        token = base64.urlsafe_b64encode(self._chance.randbytes(42)).decode()
        self._tokens[token] = self._now() + seconds
        return Answer(body=token.encode(), headers={_TTL: lifetime})

    def _option(self, name: str) -> str:
        return str(self._facts.describe().get("MetadataOptions", {}).get(name, ""))

    def _find(self, parts: list[str]) -> bytes | None:
        if parts == ["latest"]:
            return b"dynamic\nmeta-data\nuser-data"
        if parts[:2] == ["latest", "user-data"]:
            return self._facts.user_data()
        if parts == ["latest", "dynamic", "instance-identity", "document"]:
            return json.dumps(_identity(self._facts.describe()), indent=2).encode()
        if parts[:2] != ["latest", "meta-data"]:
            return None
        path = "/".join(parts[2:])
        if path.startswith("iam/security-credentials/"):
            return self._credentials(path.rpartition("/")[2])
        return _read(self._values(), path)

    def _credentials(self, role: str) -> bytes | None:
        profile = self._facts.profile()
        if profile is None or profile.role != role:
            return None
        return json.dumps(self._facts.credentials(), indent=2).encode()

    def _values(self) -> dict[str, str]:
        """Path below `/latest/meta-data` → text."""
        instance = self._facts.describe()
        values = {**_about(instance), **self._notices}
        profile = self._facts.profile()
        if profile is not None:
            info = {
                "Code": "Success",
                "LastUpdated": _timestamp(self._now()),
                "InstanceProfileArn": profile.arn,
                "InstanceProfileId": profile.profile_id,
            }
            values["iam/info"] = json.dumps(info, indent=2)
            values[f"iam/security-credentials/{profile.role}"] = ""
        if self._option("InstanceMetadataTags") == "enabled":
            for tag in instance.get("Tags", ()):
                values[f"tags/instance/{tag['Key']}"] = tag["Value"]
        return values


def _read(values: Mapping[str, str], path: str) -> bytes | None:
    """The text at a path, or the names below it; None where nothing is."""
    if path in values:
        return values[path].encode()
    start = f"{path}/" if path else ""
    rest = [name.removeprefix(start) for name in values if name.startswith(start)]
    names = {"".join(name.partition("/")[:2]) for name in rest}
    return "\n".join(sorted(names)).encode() if names else None


def _about(instance: Mapping[str, Any]) -> dict[str, str]:
    zone = instance.get("Placement", {}).get("AvailabilityZone", "")
    values = {
        "ami-id": instance.get("ImageId"),
        "ami-launch-index": str(instance.get("AmiLaunchIndex", 0)),
        "events/maintenance/scheduled": "[]",
        "hostname": instance.get("PrivateDnsName"),
        "instance-action": "none",
        "instance-id": instance.get("InstanceId"),
        "instance-life-cycle": instance.get("InstanceLifecycle", "on-demand"),
        "instance-type": instance.get("InstanceType"),
        "local-hostname": instance.get("PrivateDnsName"),
        "local-ipv4": instance.get("PrivateIpAddress"),
        "placement/availability-zone": zone,
        "placement/region": _region(zone),
        "public-hostname": instance.get("PublicDnsName"),
        "public-ipv4": instance.get("PublicIpAddress"),
        "security-groups": "\n".join(g["GroupName"] for g in instance.get("SecurityGroups", ())),
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
    }
    return {path: str(value) for path, value in values.items() if value}


def _identity(instance: Mapping[str, Any]) -> dict[str, Any]:
    zone = instance.get("Placement", {}).get("AvailabilityZone", "")
    launched = instance.get("LaunchTime")
    return {
        "accountId": instance.get("OwnerId"),
        "architecture": instance.get("Architecture", "x86_64"),
        "availabilityZone": zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": instance.get("ImageId"),
        "instanceId": instance.get("InstanceId"),
        "instanceType": instance.get("InstanceType"),
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": _timestamp(launched.timestamp()) if launched else None,
        "privateIp": instance.get("PrivateIpAddress"),
        "ramdiskId": None,
        "region": _region(zone),
        "version": "2017-09-30",
    }


def _region(zone: str) -> str:
    return zone.rstrip("abcdef")


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: HTTPStatus) -> Answer:
    return Answer(status=status, body=f"{status.value} - {status.phrase}".encode())
