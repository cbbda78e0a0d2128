"""Whether somebody's plug-in keeps the contract, in one line of their tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.workloads.accuracy import snr_db
from flyback.workloads.device import Device
from flyback.workloads.parameters import resolve
from flyback.workloads.plugin import Plugin
from flyback.workloads.workload import Comparison

__all__ = ["check_workload"]


def check_workload(kind: type[Plugin], values: Mapping[str, Any] | None = None) -> None:
    """Check a plug-in on the host: seeds, inputs, reference, work.

    Args:
        kind: The class.
        values: Parameters; small ones make the check quick.

    Raises:
        AssertionError: it breaks the contract; the sentence says which part.
    """
    parameters = resolve(kind.Params, values or {})
    first, again, other = (_Made(kind, parameters, seed) for seed in (0, 0, 1))
    try:
        result = first.result()
        _require(first.agrees(result), "run and reference disagree")
        _require(snr_db(_pair(result, again.result())) > first.floor, "one seed, two results")
        constant = snr_db(_pair(result, other.result())) > first.floor
        _require(not constant or not kind.seeded, "another seed gives the same result")
        _require(
            first.agrees(first.result()), "run changes its inputs, or its second call is wrong"
        )
        work = first.plugin.work()
        _require(work.items > 0 and bool(work.item_unit), "work() counts no items")
        _require(min(work.flops, work.bytes) >= 0, "work() is negative")
        _require(not first.agrees(result * float("nan")), "the gate lets NaN pass")
    finally:
        for each in (first, again, other):
            each.plugin.teardown()


class _Made:
    def __init__(self, kind: type[Plugin], parameters: Any, seed: int) -> None:
        self.plugin, self._device = kind(), Device(seed)
        self.plugin.setup(parameters, self._device)
        self.floor = self.plugin.snr_floor_db

    def result(self) -> Any:
        return self._home(self.plugin.output(self.plugin.run()))

    def agrees(self, result: Any) -> bool:
        return snr_db(_pair(result, self._home(self.plugin.reference()))) >= self.floor

    def _home(self, value: Any) -> Any:
        # A copy: a plug-in may reuse its output.
        return self._device.home(value).astype("float64").reshape(1, -1).copy()


def _pair(actual: Any, expected: Any) -> Comparison:
    return Comparison(label="check", kind="result", actual=actual, expected=expected)


def _require(held: bool, sentence: str) -> None:  # noqa: FBT001  # what is required
    if not held:
        raise AssertionError(sentence)
