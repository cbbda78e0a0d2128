"""Resources by tag, whatever their service, and the tags that say whose a thing is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.aws.service import Service

__all__ = ["NAME_TAG", "REGION_TAG", "Tagging"]

NAME_TAG = "flyback:name"
"""On everything that flyback creates; its value is the deployment's name."""

REGION_TAG = "flyback:region"
"""On what stands in no region: that of the deployment, whose name another region may have too."""


class Tagging(Service):
    """Resource Groups Tagging API."""

    def arns(self, key: str, value: str) -> tuple[str, ...]:
        """ARNs of everything that carries the tag, but what says that it serves another region.

        One region answers for what stands in none (resourcegroupstagging API reference,
        GetResources), whoever asks there.
        """
        filters = [{"Key": key, "Values": [value]}]
        pages = self._pages("get_resources", "ResourceTagMappingList", TagFilters=filters)
        here = self._client.meta.region_name
        return tuple(sorted(item["ResourceARN"] for item in pages if _region(item, here) == here))


def _region(item: Mapping[str, Any], otherwise: str) -> str:
    tags = {tag["Key"]: str(tag["Value"]) for tag in item.get("Tags", ())}
    return tags.get(REGION_TAG, otherwise)
