"""Listing and removing what lingers, by the table of kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flyback.aws.listings import Found, Listing
from flyback.aws.service import Service
from flyback.errors import NotFoundError

__all__ = ["Lister"]


class Lister(Service):
    """Lists and removes what linger in one service."""

    def find(self, listing: Listing, tag: str, name: str, place: str = "") -> Iterator[Found]:
        """What there is of a kind that is the deployment's.

        Args:
            listing: The kind.
            tag: The tag that says whose a thing is.
            name: Its value, and the deployment's name.
            place: Account and region, as they stand in names of buckets.
        """
        chosen = {"Filters": [{"Name": f"tag:{tag}", "Values": [name]}]} if listing.by_tag else {}
        for item in self._items(listing, {**listing.params, **chosen}):
            over = any(item.get(key) in values for key, values in listing.gone.items())
            if over or not _is_ours(listing, self._tagged(listing, item), tag, (name, place)):
                continue
            more = {argument: str(item[key]) for argument, key in listing.more.items()}
            yield Found(listing=listing, identifier=str(item[listing.identifier]), more=more)

    def has(self, listing: Listing, name: str) -> bool:
        """Whether a thing of a kind is there, by its name or the end of its ARN."""
        found = (item for item in self._items(listing, listing.params))
        return any(str(item[listing.identifier]).rpartition(":")[2] == name for item in found)

    def remove(self, found: Found) -> None:
        """Remove a thing; one that is gone meanwhile does not matter."""
        listing = found.listing
        plural = listing.argument.endswith("s")  # an API's argument that takes several
        value: Any = [found.identifier] if plural else found.identifier
        try:
            switches = dict.fromkeys(listing.switches, True)
            self._call(listing.remove, **{listing.argument: value}, **found.more, **switches)
        except NotFoundError:
            return

    def _tagged(self, listing: Listing, item: Mapping[str, Any]) -> Mapping[str, Any]:
        if not listing.tags_by:
            return item
        asked = {listing.argument: str(item[listing.identifier])}
        try:
            return {**item, "Tags": self._call(listing.tags_by, **asked)["Tags"]}
        except NotFoundError:  # gone meanwhile
            return item

    def _items(self, listing: Listing, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if self._client.can_paginate(listing.method):
            yield from self._pages(listing.method, listing.key, **params)
        else:
            yield from self._call(listing.method, **params).get(listing.key, [])


def _is_ours(listing: Listing, item: Mapping[str, Any], tag: str, whose: tuple[str, str]) -> bool:
    name, place = whose
    if _tags(item).get(tag) == name:
        return True
    text = str(item.get(listing.name, "")) if listing.name else ""
    if text.startswith("arn:"):
        text = text.rpartition(":")[2]
    for pattern in listing.prefixes:
        wanted = pattern.format(name).replace("<place>", place)
        if text and (text == wanted[:-1] if wanted.endswith("$") else text.startswith(wanted)):
            return True
    return False


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    found = item.get("Tags") or item.get("TagSet") or item.get("tags") or []
    if isinstance(found, Mapping):
        return dict(found)
    return {str(each.get("Key", each.get("key"))): str(each.get("Value", "")) for each in found}
