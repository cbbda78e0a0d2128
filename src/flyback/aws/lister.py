"""Listing and removing what lingers, by the table of kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from flyback.aws.listing import Found, Held, Listing, Owner, Signed
from flyback.aws.service import Service
from flyback.aws.tagging import NAME_TAG
from flyback.errors import NotFoundError

__all__ = ["Lister"]


class Lister(Service):
    """Lists and removes what lingers in one service."""

    def find(self, listing: Listing, owner: Owner) -> Iterator[Found]:
        """What there is of a kind that is the deployment's."""
        chosen = [{"Name": f"tag:{NAME_TAG}", "Values": [owner.name]}]
        params = {**listing.params, **({"Filters": chosen} if listing.by_tag else {})}
        for item in self._items(listing, params):
            over = any(item.get(key) in values for key, values in listing.gone.items())
            tagged = not over and self._carries(listing, item, owner)
            by_name = not listing.signed and _is_named(listing, item, owner)
            if over or not (tagged or by_name):
                continue
            more = {argument: str(item[key]) for argument, key in listing.more.items()}
            name = str(item[listing.identifier])
            held = self._held(listing.holds, name, item) if listing.holds else ()
            yield Found(listing=listing, identifier=name, more=more, held=held, tagged=tagged)

    def has(self, listing: Listing, name: str) -> bool:
        """Whether a thing of a kind is there, by its name or the end of its ARN."""
        found = (item for item in self._items(listing, listing.params))
        return any(str(item[listing.identifier]).rpartition(":")[2] == name for item in found)

    def remove(self, found: Found) -> None:
        """Remove a thing and first what it holds; what is gone meanwhile does not matter."""
        for method, options in found.listing.removals(found):
            with suppress(NotFoundError):
                self._call(method, **{key: _value(key, text) for key, text in options.items()})

    def _held(self, holds: Held, name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
        with suppress(NotFoundError):  # gone meanwhile
            there = self._call(holds.method, **{holds.of: name}) if holds.method else item
            held = there.get(holds.key, ())
            return tuple(str(each[holds.field] if holds.field else each) for each in held)
        return ()

    def _carries(self, listing: Listing, item: Mapping[str, Any], owner: Owner) -> bool:
        if listing.signed is None:
            carries = _tags(item).get(NAME_TAG) == owner.name
            return carries or _bearer(listing, item, owner) in owner.tagged
        # asked only of what has our name: an account holds many more
        named = _is_named(listing, item, owner)
        return named and owner.signature.items() <= self._signature(listing.signed, item).items()

    def _signature(self, signed: Signed, item: Mapping[str, Any]) -> dict[str, str]:
        bearer = next(iter(item.get(signed.within, ())), None) if signed.within else item
        if bearer is None:
            return {}
        try:
            return _tags(self._call(signed.method, **{signed.argument: bearer[signed.field]}))
        except NotFoundError:  # gone meanwhile
            return {}

    def _items(self, listing: Listing, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        if self._client.can_paginate(listing.method):
            yield from self._pages(listing.method, listing.key, **params)
        else:
            yield from self._call(listing.method, **params).get(listing.key, [])


def _value(argument: str, value: object) -> object:
    """A plural argument takes several."""
    return [value] if argument.endswith("s") and isinstance(value, str) else value


def _bearer(listing: Listing, item: Mapping[str, Any], owner: Owner) -> str:
    place = {"partition": owner.partition, "region": owner.region, "account": owner.account}
    # a log group's ARN ends so where CloudWatch Logs names it, and nowhere else
    named = listing.bearer.format_map({**place, **item}).removesuffix(":*")
    return named.replace(":parameter//", ":parameter/")  # a name that is a path has its own slash


def _is_named(listing: Listing, item: Mapping[str, Any], owner: Owner) -> bool:
    text = str(item.get(listing.name, "")) if listing.name else ""
    if text.startswith("arn:"):
        text = text.rpartition(":")[2]
    fields = {"name": owner.name, "place": owner.place}
    return any(re.match(pattern.format_map(fields), text) for pattern in listing.names)


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    found = item.get("Tags") or item.get("TagSet") or item.get("tags") or []
    if isinstance(found, Mapping):
        return dict(found)
    return {str(each.get("Key", each.get("key"))): str(each.get("Value", "")) for each in found}
