"""Ceilings: measured once per boot, of the device that computes, and held against every cell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flyback.workloads import ceilings
from flyback.workloads.ceilings import measure_device, of_this_boot
from flyback.workloads.cuda_faults import SkippedError

NAMES = {"id", "dram_bytes_s", "cache_bytes_s", "flop_s", "launch_ns"}


def test_ceilings_are_measured_once_per_boot(tmp_path: Path) -> None:
    """The second call gives what the first has found; another folder is measured anew."""
    first = of_this_boot("cpu", tmp_path)
    assert first is not None
    assert set(first) == NAMES
    assert min(first["dram_bytes_s"], *first["flop_s"].values()) > 1e8
    assert of_this_boot("cpu", tmp_path) == first
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_uid == os.getuid()


def test_each_kind_of_device_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host can do says nothing about a device, and the other way round."""
    monkeypatch.setattr(ceilings, "_torch_for", lambda _kind: None)
    monkeypatch.setattr(ceilings, "measure_device", lambda _torch: {"id": "of the device"})
    host = of_this_boot("cpu", tmp_path)
    assert of_this_boot("cuda", tmp_path) == {"id": "of the device"}
    assert of_this_boot("cpu", tmp_path) == host


@pytest.mark.parametrize("error", ["skipped", "full"])
def test_what_keeps_ceilings_from_being_measured_leaves_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """A torch for another device, or memory that the cell itself has filled."""

    class OutOfMemoryError(RuntimeError):
        """As torch names it."""

    def fail(_: object) -> None:
        raise SkippedError("built without CUDA") if error == "skipped" else OutOfMemoryError

    monkeypatch.setattr(ceilings, "_torch_for", fail)
    assert of_this_boot("cuda", tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extended
def test_a_device_is_measured_in_every_way_that_work_is_bound() -> None:
    """Memory, cache, both ways over the bus, products of every type, and the way there."""
    import torch

    found = measure_device(torch, "cpu", large=2**23)
    assert set(found) == NAMES | {"h2d_bytes_s", "d2h_bytes_s"}
    assert set(found["flop_s"]) == {"float64", "float32", "tf32", "bfloat16", "float16"}
    assert min(*found["flop_s"].values(), found["h2d_bytes_s"], found["launch_ns"]) > 0
