"""A workload in a few lines: `Params`, `setup`, `run`, `reference`, `work`.

    class Scale(Plugin):
        \"\"\"A vector times two: memory bandwidth.\"\"\"

        name, item_unit = "scale", "number"

        @dataclass(frozen=True, kw_only=True)
        class Params(PluginParams):
            size: int = parameter(1024, "numbers")

        def setup(self, p, device):
            self.x = device.put(device.normal(p.size))

        def run(self):
            return 2 * self.x

        def reference(self):
            return 2 * self.x.astype("float64")

        def work(self):
            return Work(flops=self.x.size, bytes=8 * self.x.size, items=self.x.size,
                        item_unit=self.item_unit)

An installed package brings it with an entry point of the group `flyback.workloads` that names the
class. `flyback.workloads.checking.check_workload(Scale)` tests it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flyback.workloads.declaration import Declaration
from flyback.workloads.device import Device, open_device
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.timing import DeviceClock
from flyback.workloads.workload import Comparison, Prepared, Work, Workload

__all__ = ["Adapted", "Plugin", "PluginParams", "declare"]


@dataclass(frozen=True, kw_only=True)
class PluginParams:
    """What every plug-in can be asked for; subclasses add their own fields.

    Raises:
        ParameterError: a value is out of range.
    """

    device: Literal["cpu", "cuda"] = parameter("cpu", "what computes")
    samples: int = parameter(30, "samples to take, at least")
    warmup: int = parameter(3, "calls before, at least, that are not timed")
    seed: int = parameter(0, "of the inputs")

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("warmup", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ParameterError(name, f"must be at least {least}, not {getattr(self, name)}")


class Plugin(ABC):
    """A benchmark. The runner owns timing, synchronisation, statistics and the record.

    Attributes:
        name: What users write.
        version: Changes whenever figures stop being comparable.
        presets: Name → parameters.
        snr_floor_db: Least signal-to-noise ratio of the correctness gate, dB.
        backend: Name of the package that computes; `setup` may set another.
        dtype: Element type that is computed in; `setup` may set another.
        method: What else a reader must know; `setup` may set it.
        seeded: Whether another seed gives another result.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1.0"
    needs: ClassVar[str] = "bench"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    Params: ClassVar[type[Any]] = PluginParams
    seeded: ClassVar[bool] = True
    snr_floor_db: float = 120.0
    backend: str = "numpy"
    dtype: str = "float32"
    method: Mapping[str, Any] = {}  # set anew by instances, never changed in place

    @abstractmethod
    def setup(self, p: Any, device: Device) -> None:
        """Make the inputs with `device`, and prepare whatever is not to be timed."""

    @abstractmethod
    def run(self) -> Any:
        """One timed call; returns its output and leaves its inputs alone."""

    @abstractmethod
    def reference(self) -> Any:
        """What `run` should have returned, in float64 on the host."""

    @abstractmethod
    def work(self) -> Work:
        """What one call does."""

    def output(self, result: Any) -> Any:
        """What of a result is held against `reference`; by default all of it."""
        return result

    def metrics(self) -> Mapping[str, Any]:
        """Figures of its own, for the record's `values`."""
        return {}

    def teardown(self) -> None:  # noqa: B027  # most have nothing to remove
        """Remove what `setup` left outside memory."""


class Adapted(Workload[Any]):
    """A plug-in as the runner sees it."""

    repeatable = True

    def __init__(self, kind: type[Plugin]) -> None:
        self.kind = kind
        self._plugin = kind()
        self._device = Device()

    def setup(self, parameters: Any) -> Prepared:
        self._parameters = p = parameters
        self._device = open_device(p.device, p.seed)
        self._plugin.setup(p, self._device)
        plugin = self._plugin
        return Prepared(
            backend={"name": plugin.backend, "version": _version(plugin.backend)},
            dtype=plugin.dtype,
            warmup=p.warmup,
            samples=p.samples,
            snr_floor_db=plugin.snr_floor_db,
            device=self._device.describe(),
            method=dict(plugin.method),
        )

    def run(self) -> Iterator[Any]:
        result = self._plugin.run()
        self._device.synchronize()
        yield result

    def reference(self) -> Any:
        return self._home(self._plugin.reference())

    def work(self) -> Work:
        return self._plugin.work()

    def gate(self) -> Iterator[Comparison]:
        yield self._compared("inputs", self._plugin, self._device)

    def fresh(self) -> Iterator[Comparison]:
        """Inputs of another seed, in an object that no timed call has touched."""
        other = self.kind()
        device = open_device(self._parameters.device, self._parameters.seed + 1)
        other.setup(self._parameters, device)
        try:
            yield self._compared("fresh inputs", other, device)
        finally:
            other.teardown()

    def metrics(self) -> Mapping[str, Any]:
        return self._plugin.metrics()

    def device_clock(self) -> DeviceClock | None:
        return self._device.clock()

    def teardown(self) -> None:
        self._plugin.teardown()

    def actual(self, result: Any) -> Any:
        """A timed result as an array on the host."""
        return self._home(self._plugin.output(result))

    def _home(self, value: Any) -> Any:
        # One row: the ratio is that of the whole result, and one wrong pixel in millions still
        # costs it half of its decibels.
        return self._device.home(value).reshape(1, -1)

    def _compared(self, label: str, plugin: Plugin, device: Device) -> Comparison:
        result = plugin.run()
        device.synchronize()
        return Comparison(
            label=label,
            kind="result",
            actual=self._home(plugin.output(result)),
            expected=self._home(plugin.reference()),
        )


def declare(kind: type[Plugin], implementation: str = "") -> Declaration:
    """The declaration of a plug-in's class.

    Args:
        kind: The class.
        implementation: `module:Class`; by default where the class says that it stands.
    """
    summary = (inspect.getdoc(kind) or "").split("\n", 1)[0].rstrip(".")
    return Declaration(
        name=kind.name,
        version=kind.version,
        summary=summary,
        parameters=kind.Params,
        presets=kind.presets,
        implementation=implementation or f"{kind.__module__}:{kind.__qualname__}",
        needs=kind.needs,
    )


def _version(package: str) -> str:
    import importlib.metadata

    for name in (package, f"{package}-headless", {"cv2": "opencv-python-headless"}.get(package)):
        try:
            return importlib.metadata.version(name) if name else "unknown"
        except importlib.metadata.PackageNotFoundError:
            continue
    import platform

    return platform.python_version() if package == "python" else "unknown"
