"""Public SSM parameters that moto lacks: the images that a rehearsal can launch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.ec2.images import IMAGES, parameter_value

__all__ = ["SsmGap"]

_PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)


class SsmGap:
    """Public image parameters are ours; all other parameters are moto's."""

    service = "ssm"
    operations = frozenset({"GetParameter", "GetParameters", "GetParametersByPath"})

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        if call.operation == "GetParameter":
            return self._one(call) or forward(call)
        if call.operation == "GetParametersByPath":
            return self._by_path(call) or forward(call)
        return self._several(call, forward)

    def _one(self, call: Call) -> Mapping[str, Any] | None:
        found = _parameter(str(call.params.get("Name", "")), call.region)
        return {"Parameter": found} if found else None

    def _by_path(self, call: Call) -> Mapping[str, Any] | None:
        path = str(call.params.get("Path", "")).rstrip("/") + "/"
        names = [image.parameter for image in IMAGES if image.parameter.startswith(path)]
        if not call.params.get("Recursive"):
            names = [name for name in names if "/" not in name.removeprefix(path)]
        return {"Parameters": [_parameter(name, call.region) for name in names]} if names else None

    def _several(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        names = list(call.params.get("Names", ()))
        ours = [found for name in names if (found := _parameter(name, call.region))]
        if not ours:
            return forward(call)
        if len(ours) < len(names):
            raise AwsError(
                "NotEmulated",
                "ssm:GetParameters for public image parameters together with others is not "
                "emulated by the rehearsal",
                501,
            )
        return {"Parameters": ours, "InvalidParameters": []}


def _parameter(name: str, region: str) -> dict[str, Any] | None:
    value = parameter_value(name, region)
    if value is None:
        return None
    return {
        "Name": name,
        "Type": "String",
        "Value": value,
        "Version": 1,
        "LastModifiedDate": _PUBLISHED,
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }
