"""The registry: cheap to ask, open to others, and quick with an answer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import MissingExtraError, UserError
from flyback.workloads import registry
from flyback.workloads.declaration import Declaration
from flyback.workloads.parameters import ParameterError
from flyback.workloads.spectral.declaration import SpectralParameters

MINE = Declaration(
    name="mine",
    version="3",
    summary="somebody else's",
    parameters=SpectralParameters,
    presets={"tiny": {"nfft": 64}},
    implementation="a_package_that_is_not_there:Mine",
    needs="mine",
)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that brings a workload."""
    entry = importlib.metadata.EntryPoint("mine", f"{__name__}:MINE", registry.GROUP)
    object.__setattr__(entry, "load", lambda: MINE)
    monkeypatch.setattr(registry, "_installed", lambda: importlib.metadata.EntryPoints((entry,)))


def test_asking_loads_nothing_heavy(tmp_path: Path) -> None:
    """Checking a job file works in a core install: no NumPy, SciPy, soundfile or boto3."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from flyback.errors import UserError\n"
        "from flyback.workloads import registry\n"
        "import flyback.workloads.__main__\n"
        "registry.check_parameters('spectral', {'nfft': 64})\n"
        "registry.presets('spectral'), registry.parameter_names('spectral')\n"
        "try:\n"
        "    registry.check_files('spectral', {'recording': 'a.wav'}, Path)\n"
        "except UserError:\n"
        "    pass\n"
        "heavy = {'numpy', 'scipy', 'soundfile', 'boto3', 'pydantic', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"


def test_the_spectral_workload_is_there() -> None:
    """Its name, its presets and its parameters, in the order of the declaration."""
    assert "spectral" in registry.names()
    assert {"smoke", "full"} <= set(registry.presets("spectral"))
    assert registry.parameter_names("spectral")[:3] == ("nfft", "overlap", "channels")


@pytest.mark.parametrize("preset", ["smoke", "full"])
def test_every_preset_is_valid(preset: str) -> None:
    """A preset's values pass the same check as a user's, and are what is run."""
    values = registry.preset("spectral", preset)
    resolved = registry.check_parameters("spectral", values)
    assert values.items() <= resolved.items()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "spectrall",
            (
                "workload: no workload is called 'spectrall'\n"
                "  → did you mean spectral? there are: {all}"
            ),
        ),
        ("zzz", "workload: no workload is called 'zzz'\n  → there are: {all}"),
    ],
)
def test_an_unknown_workload_gets_its_sentence(name: str, sentence: str) -> None:
    """With the nearest name and all there are."""
    with pytest.raises(UserError) as caught:
        registry.check_parameters(name, {})
    assert str(caught.value) == sentence.format(all=", ".join(registry.names()))


def test_an_unknown_preset_gets_its_sentence() -> None:
    """With the nearest name."""
    with pytest.raises(UserError, match="did you mean smoke"):
        registry.preset("spectral", "smok")


@pytest.mark.usefixtures("plugin")
def test_an_installed_package_brings_its_workload() -> None:
    """Through the entry-point group `flyback.workloads`, with presets and checks of its own."""
    assert {"mine", "spectral"} <= set(registry.names())
    assert registry.presets("mine") == {"tiny": {"nfft": 64}}
    assert registry.check_parameters("mine", {"nfft": 64})["nfft"] == 64
    with pytest.raises(ParameterError):
        registry.check_parameters("mine", {"nfft": 65})


@pytest.mark.usefixtures("plugin")
def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    """Exit code 2 and what to install, instead of a traceback."""
    with pytest.raises(MissingExtraError) as caught:
        registry.create(registry.find("mine"))
    assert str(caught.value) == (
        "workload: mine needs a_package_that_is_not_there, which is not installed\n"
        "  → pip install 'flyback[mine]'"
    )


def problem(values: dict[str, Any]) -> str:
    """What the spectral workload says to these parameters."""
    with pytest.raises(ParameterError) as caught:
        registry.check_parameters("spectral", values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"nfft": 1000},
            (
                "parameters.nfft: 1000 is no power of two between 16 and 1048576\n"
                "  → write for example 512"
            ),
        ),
        (
            {"nfft": -4},
            (
                "parameters.nfft: -4 is no power of two between 16 and 1048576\n"
                "  → write for example 16"
            ),
        ),
        (
            {"overlap": 1},
            "parameters.overlap: 1.0 is not in [0, 1)\n  → 0.5 repeats half of each frame",
        ),
        (
            {"nfft": 16, "overlap": 0.99},
            (
                "parameters.overlap: 0.99 leaves no new sample per frame of 16\n"
                "  → at most 0.9375 (hop 1)"
            ),
        ),
        ({"frames": 0}, "parameters.frames: must be at least 1, not 0"),
        ({"channels": 0}, "parameters.channels: must be at least 1, not 0"),
        ({"warmup": -1}, "parameters.warmup: must be at least 0, not -1"),
        ({"fs_hz": 0}, "parameters.fs_hz: must be greater than 0, not 0.0"),
        ({"deadline_us": -1}, "parameters.deadline_us: must be greater than 0, not -1.0"),
        (
            {"nfft": 1 << 20, "mode": "batch", "batch": 1000},
            (
                "parameters.nfft: one call would take 1048576000 samples; at most 134217728 are "
                "possible\n  → lower nfft, channels or batch"
            ),
        ),
    ],
)
def test_spectral_parameters_that_do_not_fit_get_their_sentence(
    values: dict[str, Any], sentence: str
) -> None:
    """Range, and what to write instead; before anything is computed."""
    assert problem(values) == sentence


@pytest.mark.parametrize(
    ("nfft", "overlap", "hop"),
    [
        (1024, 0, 1024),
        (1024, 0.5, 512),
        (1024, 0.9375, 64),
        (4096, 0.75, 1024),
        (16, 0.3, 11),
        (16, 0.9375, 1),
    ],
)
def test_the_hop_is_exact(nfft: int, overlap: float, hop: int) -> None:
    """It is nfft - round(nfft x overlap), by hand."""
    resolved = registry.resolved("spectral", {"nfft": nfft, "overlap": overlap})
    assert isinstance(resolved, SpectralParameters)
    assert resolved.hop == hop
