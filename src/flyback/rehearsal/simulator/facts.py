"""What EC2 itself would know about an instance, asked of the emulated services."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from flyback.rehearsal.imds import Profile
from flyback.rehearsal.shims import Gpu

__all__ = ["Clients", "Ec2Facts"]

Clients = Callable[[str, str], Any]
_SESSION_S = 3600
_REFRESH_S = 300  # assume the role again when less than this is left


class Ec2Facts:
    """Facts about one instance, read anew whenever simulated time has moved.

    Args:
        instance_id: Which.
        region: Where.
        clients: Service and region → boto3 client of the emulated cloud.
        now: Simulated time, in seconds since the epoch.
    """

    def __init__(
        self, instance_id: str, region: str, clients: Clients, now: Callable[[], float]
    ) -> None:
        self._id = instance_id
        self._region = region
        self._clients = clients
        self._now = now
        self._lock = threading.RLock()
        self._described: tuple[float, Mapping[str, Any]] | None = None
        self._profiles: dict[str, Profile] = {}
        self._session: tuple[float, Mapping[str, str]] | None = None

    def describe(self) -> Mapping[str, Any]:
        with self._lock:
            now = self._now()
            if self._described is None or self._described[0] != now:
                ec2 = self._clients("ec2", self._region)
                found = ec2.describe_instances(InstanceIds=[self._id])["Reservations"][0]
                instance = {**found["Instances"][0], "OwnerId": found["OwnerId"]}
                self._described = (now, instance)
            return self._described[1]

    def user_data(self) -> bytes | None:
        ec2 = self._clients("ec2", self._region)
        answer = ec2.describe_instance_attribute(InstanceId=self._id, Attribute="userData")
        value = answer.get("UserData", {}).get("Value")
        return base64.b64decode(value) if value else None

    def profile(self) -> Profile | None:
        arn = self.describe().get("IamInstanceProfile", {}).get("Arn")
        if arn is None:
            return None
        with self._lock:
            if arn not in self._profiles:
                iam = self._clients("iam", self._region)
                name = str(arn).rpartition("/")[2]
                found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
                if not found["Roles"]:
                    return None
                self._profiles[arn] = Profile(
                    arn=str(arn),
                    profile_id=found["InstanceProfileId"],
                    role=found["Roles"][0]["RoleName"],
                    role_arn=found["Roles"][0]["Arn"],
                )
            return self._profiles[arn]

    def credentials(self) -> Mapping[str, str]:
        profile = self.profile()
        with self._lock:
            now = self._now()
            if self._session is not None and now < self._session[0]:
                return self._session[1]
            updated = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            try:
                document = {**self._assume(profile), "LastUpdated": updated}
            except ClientError as error:
                return {
                    "Code": "AssumeRoleUnauthorizedAccess",
                    "Message": f"EC2 cannot assume the role: {error}",
                    "LastUpdated": updated,
                }
            self._session = (now + _SESSION_S - _REFRESH_S, document)
            return document

    def gpus(self) -> Sequence[Gpu]:
        """The GPUs of the instance's type; none where the cloud does not know the type."""
        ec2 = self._clients("ec2", self._region)
        kind = self.describe()["InstanceType"]
        try:
            types = ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
        except ClientError:
            return ()
        return [
            Gpu(name=gpu["Name"], memory_mib=gpu["MemoryInfo"]["SizeInMiB"])
            for gpu in types[0].get("GpuInfo", {}).get("Gpus", ())
            for _ in range(gpu["Count"])
        ]

    def _assume(self, profile: Profile | None) -> Mapping[str, str]:
        sts = self._clients("sts", self._region)
        answer = sts.assume_role(
            RoleArn=profile.role_arn if profile else "",
            RoleSessionName=self._id,
            DurationSeconds=_SESSION_S,
        )["Credentials"]
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": answer["AccessKeyId"],
            "SecretAccessKey": answer["SecretAccessKey"],
            "Token": answer["SessionToken"],
            "Expiration": answer["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
