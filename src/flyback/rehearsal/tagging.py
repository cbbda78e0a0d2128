"""Resource Groups Tagging API: what moto keeps, and what our own gaps keep beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flyback.rehearsal.call import Call, Response

__all__ = ["TaggingGap"]

Tagged = Callable[[str], Iterable[tuple[str, str, Mapping[str, str]]]]


class TaggingGap:
    """Adds to moto's answer the resources that moto does not know of.

    Args:
        tagged: Region → resource type (`lambda:function`), ARN and tags of each of those.
    """

    service = "resourcegroupstaggingapi"
    operations = frozenset({"GetResources"})

    def __init__(self, tagged: Tagged) -> None:
        self._tagged = tagged

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        response = forward(call)
        answer = json.loads(response.body)
        if answer.get("PaginationToken") or "ResourceTagMappingList" not in answer:
            return response  # ours come with the last page
        answer["ResourceTagMappingList"] += [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}
            for kind, arn, tags in self._tagged(call.region)
            if tags and _wanted(call.params, kind, arn, tags)
        ]
        return replace(response, body=json.dumps(answer).encode())


def _wanted(params: Mapping[str, Any], kind: str, arn: str, tags: Mapping[str, str]) -> bool:
    kinds: Sequence[str] = params.get("ResourceTypeFilters") or ()
    if kinds and kind not in kinds and kind.partition(":")[0] not in kinds:
        return False
    if params.get("ResourceARNList") and arn not in params["ResourceARNList"]:
        return False
    return all(
        item["Key"] in tags and (not item.get("Values") or tags[item["Key"]] in item["Values"])
        for item in params.get("TagFilters") or ()
    )
