"""Resources by tag, whatever their service."""

from __future__ import annotations

from flyback.aws.service import Service

__all__ = ["Tagging"]


class Tagging(Service):
    """Resource Groups Tagging API."""

    def arns(self, key: str, value: str) -> tuple[str, ...]:
        """ARNs of everything that carries the tag."""
        filters = [{"Key": key, "Values": [value]}]
        pages = self._pages("get_resources", "ResourceTagMappingList", TagFilters=filters)
        return tuple(sorted(item["ResourceARN"] for item in pages))
