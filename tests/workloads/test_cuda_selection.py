"""Which engine computes on a device, what it needs, and the sentences where it is not there."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.errors import FlybackError, MissingExtraError, UserError
from flyback.workloads import plugin
from flyback.workloads.cuda_faults import SkippedError, largest, no_cuda, out_of_memory
from flyback.workloads.device import Device
from flyback.workloads.matmul import Matmul
from flyback.workloads.parameters import ParameterError
from flyback.workloads.spectral import engines
from flyback.workloads.spectral.cuda.driver import explained
from flyback.workloads.spectral.declaration import CPU_ENGINES, CUDA_ENGINES, SpectralParameters


def having(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let only these seem installed."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name if name in packages else None
    )


@pytest.mark.parametrize(
    ("packages", "name"),
    [
        (("cuda.core", "torch"), "fused"),
        (("torch",), "torch-graph"),
        (("cuda.core",), "fused"),
    ],
)
def test_auto_takes_the_first_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], name: str
) -> None:
    """Ours before torch's, on a CUDA device."""
    having(monkeypatch, *packages)
    assert engines.choose("auto", "cuda")[0] == name


@pytest.mark.parametrize("name", ["auto", *CUDA_ENGINES])
def test_a_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each one by its name, with the extra that brings it."""
    having(monkeypatch)
    with pytest.raises(MissingExtraError, match="is not installed") as caught:
        engines.choose(name, "cuda")
    assert "flyback[gpu]" in str(caught.value)


def test_the_declared_names_are_the_engines_that_there_are() -> None:
    """What the parameters offer is what can be chosen, on either device."""
    assert tuple(engines.ENGINES) == CPU_ENGINES
    assert tuple(engines.cuda_engines("spin")) == CUDA_ENGINES


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"device": "cuda", "backend": "scipy"}, "scipy does not compute on cuda"),
        ({"backend": "fused"}, "fused does not compute on cpu"),
        ({"device": "cuda", "backend": "cufft", "dtype": "float64"}, "cufft computes in float32"),
        ({"device": "cuda", "backend": "fused", "dtype": "float64"}, "fused computes in float32"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], what: str) -> None:
    """Before anything is looked for on the machine."""
    with pytest.raises(ParameterError, match=what):
        SpectralParameters(**fields)


class NVRTCError(Exception):
    """As cuda-core names it."""


@pytest.mark.parametrize(
    ("error", "kind", "sentence", "remedy"),
    [
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), UserError, "memory is full", "lower batch"),
        (RuntimeError("CUDA_ERROR_NO_DEVICE"), SkippedError, "no CUDA device is visible", "cpu"),
        (RuntimeError("Failed to dlopen libcuda.so.1"), SkippedError, "no NVIDIA driver", "cpu"),
        (
            NVRTCError("5: INVALID_OPTION"),
            UserError,
            "does not take the kernel",
            "nvidia-cuda-nvrtc",
        ),
        (RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS"), UserError, "failed while x", "nvidia-smi"),
    ],
)
def test_what_a_device_says_becomes_a_sentence(
    error: Exception, kind: type[FlybackError], sentence: str, remedy: str
) -> None:
    """Where, what and the remedy; a machine without a device leaves a skipped row."""
    ours = explained(error, "x")
    assert type(ours) is kind
    assert sentence in str(ours)
    assert remedy in str(ours)


def test_a_hidden_device_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty CUDA_VISIBLE_DEVICES is what people forget."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    ours = explained(RuntimeError("CUDA_ERROR_NO_DEVICE"), "opening")
    assert "CUDA_VISIBLE_DEVICES is ''" in str(ours)


def test_a_missing_driver_is_told_from_a_missing_library() -> None:
    """One is the machine's, the other is installed by pip."""

    class DynamicLibNotFoundError(RuntimeError):
        """As cuda-pathfinder names it."""

    driver = explained(DynamicLibNotFoundError('"cuda" is an NVIDIA driver library'), "opening")
    library = explained(DynamicLibNotFoundError("Failure finding libcufft.so.12"), "preparing")
    assert type(driver) is SkippedError
    assert "no NVIDIA driver is installed" in str(driver)
    assert type(library) is MissingExtraError


def test_nothing_of_a_gpu_is_imported_unless_asked_for() -> None:
    """A spectral cell on the CPU loads neither torch nor cuda, nor our own engines for it."""
    code = (
        "import sys\n"
        "from flyback.workloads.spectral.workload import Spectral\n"
        "from flyback.workloads.spectral.declaration import SpectralParameters\n"
        "Spectral().setup(SpectralParameters(nfft=64, backend='numpy'))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'cuda', 'pynvml')"
        " or '.spectral.cuda' in name])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


class FakeTorch:
    """As much of torch as says why there is no device."""

    __version__ = "2.13.0"

    def __init__(self, cuda: str | None, said: str = "") -> None:
        self.version = types.SimpleNamespace(cuda=cuda)
        self.cuda = self
        self.said = said

    def init(self) -> None:
        """Fail as torch does."""
        if self.said:
            raise RuntimeError(self.said)


@pytest.mark.parametrize(
    ("torch", "sentence"),
    [
        (FakeTorch(None), "torch 2.13.0 is built without CUDA"),
        (FakeTorch("13.0", "Found no NVIDIA driver on your system."), "no NVIDIA driver"),
        (
            FakeTorch("13.0", "The NVIDIA driver on your system is too old (found 11040)."),
            "too old for torch's CUDA 13.0",
        ),
        (FakeTorch("13.0", "No CUDA GPUs are available"), "no CUDA device is visible"),
        (FakeTorch("13.0"), "no CUDA device is visible"),
    ],
)
def test_why_torch_has_no_device(torch: FakeTorch, sentence: str) -> None:
    """A build without CUDA, no driver, an old one, and a hidden device: each its own sentence."""
    assert sentence in str(no_cuda(torch))


@given(most=st.integers(1, 4096), asked=st.integers(1, 4096), each=st.integers(1, 1000))
def test_what_is_said_to_fit_does_fit(most: int, asked: int, each: int) -> None:
    """The value found fits, leaves the others alone, and nothing 15/16 greater does."""

    @dataclasses.dataclass(frozen=True)
    class Sizes:
        n: int
        other: int = 3

    def bytes_of(sizes: Sizes) -> int:
        return sizes.n * each

    found = largest(Sizes(asked), "n", bytes_of, most * each)
    assert found is not None
    assert found <= min(asked, most)
    assert found >= min(asked, most) * 14 // 16


def test_a_device_too_small_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is allocated: what is needed, what is free, and the greatest that fits."""

    class Small(Device):
        """A device with a mebibyte."""

        def free_bytes(self) -> int:
            return 2**20

    monkeypatch.setattr(plugin, "open_device", lambda _kind, seed: Small(seed))
    cell = plugin.Adapted(Matmul)
    with pytest.raises(UserError, match="needs 15 MiB of the device, which has 1 free") as caught:
        cell.setup(Matmul.Params(n=1000))
    fit = int(str(caught.value).partition("n=")[2].partition(" ")[0])
    assert Matmul().memory_bytes(Matmul.Params(n=fit)) <= 2**20
    cell.setup(Matmul.Params(n=fit))


def test_a_device_that_fills_up_is_a_sentence() -> None:
    """What torch raises in the middle of the work names the remedy too; other errors pass."""

    class OutOfMemoryError(RuntimeError):
        """As torch names it."""

    with pytest.raises(UserError, match="memory is full") as caught, out_of_memory(lambda: "n=7"):
        raise OutOfMemoryError
    assert "n=7" in str(caught.value)
    with pytest.raises(RuntimeError, match="shape"), out_of_memory(lambda: ""):
        raise RuntimeError("shape")
