"""A run's files, written under the same names to the folder here and to the bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from flyback.errors import ConflictError, NotFoundError
from flyback.spec.codec import dumps, encode, loads
from flyback.spec.event import Event, Marker
from flyback.spec.launch import Launch
from flyback.spec.paths import RunPaths
from flyback.spec.result import Result
from flyback.store.protocol import Store

__all__ = ["Records"]

T = TypeVar("T")


class Records:
    """Reads and writes one run's files.

    Args:
        run_id: The run.
        local: Root of all local state; the run lies under `runs/<run_id>`.
        remote: The bucket; the same store as `local` on the local engine.
    """

    def __init__(self, run_id: str, local: Store, remote: Store) -> None:
        self.paths = RunPaths(run_id)
        self.local = local
        self.remote = remote

    def write(self, key: str, noun: Any, *, if_absent: bool = False) -> None:
        """Write a noun to both places, here first: whoever was cut off finds it here."""
        data = (json.dumps(encode(noun), indent=2, allow_nan=False) + "\n").encode()
        for store in self._stores():
            store.put(key, data, if_absent=if_absent)

    def read(self, kind: type[T], key: str) -> T | None:
        """A noun from the bucket, or None where it is not there yet."""
        try:
            return loads(kind, self.remote.get(key))
        except NotFoundError:
            return None

    def marker(self) -> Marker | None:
        """The run's terminal marker, or None while it runs."""
        return self.read(Marker, self.paths.marker)

    def declare(self, marker: Marker) -> Marker:
        """Write the terminal marker where nobody has; the one that stands."""
        attempt = self.paths.attempt(marker.attempt)
        for key in (attempt.marker, self.paths.marker):
            data = (json.dumps(encode(marker), indent=2) + "\n").encode()
            try:
                self.remote.put(key, data, if_absent=True)
            except ConflictError:
                continue
        return self.marker() or marker

    def launch(self) -> Launch | None:
        """What was launched."""
        return self.read(Launch, self.paths.launch)

    def written(self) -> Launch | None:
        """The launch as it was written down here."""
        try:
            return loads(Launch, self.local.get(self.paths.launch))
        except NotFoundError:
            return None

    def remember(self, launch: Launch) -> Launch:
        """Write down here alone how a launch was found to stand."""
        self.local.put(self.paths.launch, (dumps(launch) + "\n").encode())
        return launch

    def events(self, attempt: int) -> tuple[Event, ...]:
        """What happened so far in an attempt."""
        try:
            data = self.remote.get(self.paths.attempt(attempt).events)
        except NotFoundError:
            return ()
        return tuple(loads(Event, line) for line in data.splitlines() if line.strip())

    def beat(self, attempt: int) -> dict[str, Any]:
        """The agent's last sign of life, `at` when (seconds since the epoch); empty without one."""
        try:
            found = json.loads(self.remote.get(self.paths.attempt(attempt).heartbeat))
            return {**found, "at": float(found["at"])}
        except (NotFoundError, ValueError, KeyError, TypeError):
            return {}

    def results(self) -> tuple[Result, ...]:
        """Result lines, from the folder here where the run was collected, else from the bucket.

        A run whose last attempt was cut off has none of its own: what its attempts finished, each
        with what the ones before it had, is in theirs.
        """
        for store, key in self._places_of_results():
            try:
                data = store.get(key)
            except NotFoundError:
                continue
            return tuple(loads(Result, line) for line in data.splitlines() if line.strip())
        return ()

    def _places_of_results(self) -> Iterator[tuple[Store, str]]:
        for store in (self.local, self.remote):
            yield store, self.paths.results
        kept = [item.key.split("/") for item in self.remote.list(f"{self.paths.prefix}/attempts/")]
        numbers = {int(parts[3]) for parts in kept if parts[4:] == ["results.jsonl"]}
        for number in sorted(numbers, reverse=True):
            yield self.remote, self.paths.attempt(number).results

    def stored_bytes(self) -> tuple[int, int]:
        """Number of objects and of bytes under the run's prefix in the bucket."""
        sizes = [item.size for item in self.remote.list(f"{self.paths.prefix}/")]
        return len(sizes), sum(sizes)

    def _stores(self) -> tuple[Store, ...]:
        return (self.local,) if self.local is self.remote else (self.local, self.remote)
