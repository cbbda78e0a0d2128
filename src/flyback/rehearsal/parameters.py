"""Public SSM parameters that moto lacks: the images that a rehearsal can launch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flyback.rehearsal.call import Call, Response
from flyback.rehearsal.ec2.images import IMAGES, parameter_value
from flyback.rehearsal.serialising import error_code_of

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
        known = {item["Name"] for item in ours}
        asked = {**json.loads(call.body), "Names": [name for name in names if name not in known]}
        if not asked["Names"]:
            return {"Parameters": ours, "InvalidParameters": []}
        rest = forward(replace(call, params=asked, body=json.dumps(asked).encode()))
        if error_code_of(rest):
            return rest
        theirs = json.loads(rest.body)
        for item in ours:
            item["LastModifiedDate"] = item["LastModifiedDate"].timestamp()
        theirs["Parameters"] += ours
        return replace(rest, body=json.dumps(theirs).encode())


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
