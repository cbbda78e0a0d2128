"""Functions as Lambda keeps them: settings, code, tags, and who else may invoke them."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from flyback.rehearsal.call import AwsError

__all__ = ["Code", "Function", "Registry", "missing", "name_in"]

_DEFAULTS: Mapping[str, Any] = {  # API reference, CreateFunction
    "Description": "",
    "MemorySize": 128,
    "Timeout": 3,
    "Environment": {},
    "LoggingConfig": {},
}
_MOST_UNPACKED = 250 * 2**20  # Lambda developer guide, "Lambda quotas"


@dataclass(frozen=True)
class Code:
    """A deployment package."""

    data: bytes

    @property
    def sha256(self) -> str:
        """As the API gives it, in base64."""
        return base64.b64encode(hashlib.sha256(self.data).digest()).decode()

    def check(self) -> None:
        """Whether Lambda would take it.

        Raises:
            AwsError: it is no zip, leads out of its folder, or is too large.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
                entries = archive.infolist()
        except zipfile.BadZipFile as error:
            raise AwsError(
                "InvalidParameterValueException",
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ) from error
        for entry in entries:
            path = PurePosixPath(entry.filename)
            if path.is_absolute() or ".." in path.parts:
                raise AwsError("InvalidParameterValueException", f"{entry.filename} leads out")
        if sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
            raise AwsError(
                "InvalidParameterValueException",
                f"Unzipped size must be smaller than {_MOST_UNPACKED} bytes",
            )


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function.

    Args:
        name: Its name.
        arn: Its ARN.
        region: Where it is.
        settings: As CreateFunction takes them, with Lambda's defaults.
        code: What it runs.
        modified: Simulated seconds since the epoch.
        tags: Its tags.
        policy: Statements of its resource policy, by id.
        revision: Counts its changes.
    """

    name: str
    arn: str
    region: str
    settings: Mapping[str, Any]
    code: Code
    modified: float
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    revision: int = 1

    def get(self, name: str) -> Any:
        """A setting."""
        return self.settings.get(name, _DEFAULTS.get(name))

    @property
    def document(self) -> dict[str, Any]:
        """Its resource policy."""
        return {"Version": "2012-10-17", "Id": "default", "Statement": list(self.policy.values())}

    @property
    def log_group(self) -> str:
        """Where its output goes."""
        return str(self.get("LoggingConfig").get("LogGroup") or f"/aws/lambda/{self.name}")

    @property
    def environment(self) -> dict[str, str]:
        """Its own variables."""
        return dict(self.get("Environment").get("Variables") or {})

    def describe(self) -> dict[str, Any]:
        """As FunctionConfiguration."""
        moment = datetime.fromtimestamp(self.modified, UTC)
        return {
            "FunctionName": self.name,
            "FunctionArn": self.arn,
            "Runtime": self.get("Runtime"),
            "Role": self.get("Role"),
            "Handler": self.get("Handler"),
            "CodeSize": len(self.code.data),
            "Description": self.get("Description"),
            "Timeout": self.get("Timeout"),
            "MemorySize": self.get("MemorySize"),
            "LastModified": moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "CodeSha256": self.code.sha256,
            "Version": "$LATEST",
            "Environment": {"Variables": self.environment},
            "TracingConfig": {"Mode": "PassThrough"},
            "RevisionId": f"{self.revision:08d}-0000-4000-8000-000000000000",
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": self.get("Architectures") or ["x86_64"],
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {
                "LogFormat": self.get("LoggingConfig").get("LogFormat", "Text"),
                "LogGroup": self.log_group,
            },
        }


class Registry:
    """All functions, by region and name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Function] = {}

    def find(self, region: str, named: str) -> Function | None:
        """A function by name or ARN; None where there is none."""
        with self._lock:
            return self._held.get((region, name_in(named)))

    def get(self, region: str, named: str, arn: str) -> Function:
        """A function by name or ARN.

        Raises:
            AwsError: there is none; `arn` is what AWS's sentence names.
        """
        found = self.find(region, named)
        if found is None:
            raise missing(arn)
        return found

    def policy_of(self, arn: str) -> Mapping[str, Any] | None:
        """Who else may invoke a function; None where nobody may."""
        found = self.find(arn.split(":")[3], arn)
        return found.document if found is not None and found.policy else None

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """The tags of a function; none where there is none."""
        found = self.find(arn.split(":")[3], arn)
        return found.tags if found is not None else {}

    def policies(self) -> dict[str, Mapping[str, Any]]:
        """Who else may invoke which function: ARN → policy, where there is one."""
        with self._lock:
            held = list(self._held.values())
        return {found.arn: found.document for found in held if found.policy}

    def put(self, function: Function) -> Function:
        """Keep a function, in place of an earlier state of it."""
        with self._lock:
            self._held[function.region, function.name] = function
        return function

    def change(self, function: Function, now: float, **fields: Any) -> Function:
        """Another state of a function."""
        return self.put(replace(function, modified=now, revision=function.revision + 1, **fields))

    def remove(self, function: Function) -> None:
        """Forget a function."""
        with self._lock:
            self._held.pop((function.region, function.name), None)

    def all(self, region: str) -> list[Function]:
        """Those of a region, by name."""
        with self._lock:
            return [self._held[key] for key in sorted(self._held) if key[0] == region]


def name_in(named: str) -> str:
    """The name in a name or ARN, whose last part may be a qualifier."""
    if not named.startswith("arn:"):
        return named.partition(":")[0]
    parts = named.split(":")
    return parts[6] if len(parts) > 6 else ""  # noqa: PLR2004  # arn:aws:lambda:REGION:ACCOUNT:function:NAME


def missing(arn: str) -> AwsError:
    """The answer where there is no such function."""
    return AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404)
