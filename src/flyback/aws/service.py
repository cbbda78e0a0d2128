"""What every service class shares: one way to call, one way to page, errors translated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flyback.aws.errors import translated
from flyback.aws.leaks import leak_kind
from flyback.aws.ledger import Ledger

__all__ = ["Service"]


class Service:
    """A boto3 client behind our own methods.

    Args:
        client: The boto3 client.
        ledger: Create calls go there first.
    """

    def __init__(self, client: Any, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._name: str = client.meta.service_model.service_name

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        operation = self._client.meta.method_to_api_mapping[method]
        with translated(f"{self._name}:{operation}"):
            answer: dict[str, Any] = getattr(self._client, method)(**params)
        return answer

    def _pages(self, method: str, key: str, **params: Any) -> Iterator[Any]:
        operation = self._client.meta.method_to_api_mapping[method]
        with translated(f"{self._name}:{operation}"):
            for page in self._client.get_paginator(method).paginate(**params):
                yield from page.get(key, [])

    def _intend(self, method: str, name: str, scope: str) -> None:
        operation = self._client.meta.method_to_api_mapping[method]
        leak_kind(self._name, operation)
        self._ledger.intend(self._name, operation, name, scope)

    def _made(self, method: str, name: str, scope: str, *made: str) -> None:
        operation = self._client.meta.method_to_api_mapping[method]
        self._ledger.made(self._name, operation, name, scope, *made)
