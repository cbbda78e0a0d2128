"""The shipped plug-ins keep the contract, and so can anybody's in a few lines."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from flyback.errors import MissingExtraError
from flyback.workloads import registry
from flyback.workloads.bandwidth import Bandwidth
from flyback.workloads.boot import Boot
from flyback.workloads.checking import check_workload
from flyback.workloads.control import Control
from flyback.workloads.disk import Disk
from flyback.workloads.image import Image, gaussian
from flyback.workloads.matmul import Matmul
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams, declare
from flyback.workloads.runner import Setting, measure
from flyback.workloads.workload import Work


class Scale(Plugin):
    """A vector times two: memory bandwidth."""

    name = "scale"

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """Its length."""

        size: int = parameter(64, "numbers")

    def setup(self, p: Any, device: Any) -> None:
        self.x = device.normal(p.size)

    def run(self) -> Any:
        return 2 * self.x

    def reference(self) -> Any:
        return 2 * self.x.astype("float64")

    def work(self) -> Work:
        return Work(flops=self.x.size, bytes=8 * self.x.size, items=1, item_unit="vector")


CASES = [
    (Scale, {}),
    (Control, {}),
    (Matmul, {"n": 65}),
    (Matmul, {"n": 33, "dtype": "float64"}),
    (Image, {"size": 64, "backend": "scipy", "batch": 2}),
    (Image, {"size": 64, "operation": "resize", "backend": "scipy"}),
    (Bandwidth, {"mib": 1}),
    (Bandwidth, {"mib": 1, "operation": "triad"}),
    (Bandwidth, {"operation": "launch"}),
    (Disk, {"mib": 1}),
    (Disk, {"mib": 1, "operation": "write"}),
    (Disk, {"mib": 1, "operation": "pages"}),
    (Boot, {}),
]


@pytest.mark.parametrize(
    ("kind", "values"), CASES, ids=[f"{k.name}-{'-'.join(map(str, v.values()))}" for k, v in CASES]
)
def test_the_contract_is_kept(kind: type[Plugin], values: dict[str, Any]) -> None:
    """Seeds, inputs left alone, reference, work, and a gate that NaN does not pass."""
    check_workload(kind, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("matmul", {"n": 64, "backend": "torch"}),
        ("matmul", {"n": 64, "dtype": "bfloat16"}),
        ("image", {"size": 64, "operation": "conv"}),
        ("image", {"size": 64, "backend": "torch"}),
        ("image", {"size": 64, "backend": "dense"}),
        ("image", {"size": 64, "operation": "resize", "backend": "torch"}),
        ("transformer", {"width": 32, "sequence": 16, "heads": 4}),
        ("transformer", {"width": 32, "sequence": 16, "heads": 4, "backward": True}),
    ],
)
@pytest.mark.extended
def test_the_contract_is_kept_by_what_needs_torch(name: str, values: dict[str, Any]) -> None:
    """As above, where torch is installed."""
    pytest.importorskip("torch")
    check_workload(registry.create(registry.find(name)).kind, values)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"run": lambda self: 2.001 * self.x}, "run and reference disagree"),
        ({"run": lambda self: np.multiply(self.x, 2, out=self.x)}, "run and reference disagree"),
        ({"setup": lambda self, p, _: setattr(self, "x", np.ones(p.size))}, "another seed"),
        ({"work": lambda _: Work(flops=1, bytes=1, items=0, item_unit="x")}, "no items"),
    ],
    ids=["wrong", "changes-inputs", "unseeded", "no-work"],
)
def test_a_broken_contract_gets_its_sentence(change: dict[str, Any], sentence: str) -> None:
    """Each fault of an author is named."""
    with pytest.raises(AssertionError, match=sentence):
        check_workload(type("Broken", (Scale,), change))


def test_a_plugin_is_short_and_is_measured_like_any_workload() -> None:
    """Under 30 lines; calls too short for the clock share a sample; the rate counts all of them."""
    assert len(inspect.getsource(Scale).splitlines()) < 30
    declaration = declare(Scale)
    assert declaration.summary == "A vector times two: memory bandwidth"
    parameters = declaration.parameters(samples=50)  # type: ignore[call-arg]  # its own field
    result = measure(declaration, registry.Adapted(Scale), parameters, Setting())
    assert result.status == "ok"
    assert result.latency_ns is not None
    assert result.method["inner"] > 1
    assert result.latency_ns["p50"] < 100 * max(result.method["timer_overhead_ns"], 1)
    assert result.accuracy is not None
    assert "fresh inputs" in result.accuracy["inputs"]


def test_an_even_kernel_is_refused() -> None:
    """It has no centre; the sentence says what to write."""
    with pytest.raises(ParameterError, match="14 is not odd") as caught:
        registry.check_parameters("image", {"k": 14})
    assert "write 15" in str(caught.value)
    with pytest.raises(ValueError, match="no centre"):
        gaussian(14, 2.0)


def test_the_blur_is_centred_and_sums_to_one() -> None:
    """An impulse stays where it is, to the last bit of symmetry, and keeps its energy."""
    weights = gaussian(15, 2.6)
    assert weights.sum() == pytest.approx(1, abs=1e-15)
    assert (weights == weights[::-1]).all()
    assert weights.argmax() == 7


def test_what_needs_torch_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence with the remedy where torch is missing."""
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    declaration = registry.find("transformer")
    workload = registry.create(declaration)
    with pytest.raises(MissingExtraError, match="transformer needs torch"):
        workload.setup(declaration.parameters())


@pytest.mark.parametrize("name", registry.names())
def test_every_workload_explains_its_physics(name: str) -> None:
    """Its class says what limits it; every parameter has its sentence; smoke and full exist."""
    declaration = registry.find(name)
    module, _, attribute = declaration.implementation.partition(":")
    text = inspect.getdoc(getattr(__import__(module, fromlist=[attribute]), attribute)) or ""
    assert len(text.split()) > 40, name
    assert {"smoke", "full"} <= set(declaration.presets)
