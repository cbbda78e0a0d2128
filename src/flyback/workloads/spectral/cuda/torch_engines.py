"""Spectra through torch: call by call, and recorded once as a CUDA graph.

What most people would write, and what they write once launches are all they wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.workloads.device import open_device, torch_or_error

__all__ = ["TorchGraph", "eager"]

Array = npt.NDArray[Any]


def eager(window: Array, output: str, device: str = "cuda") -> Callable[[Array], Array]:
    """Copy, window, `torch.fft`, magnitude, copy; each by a call of its own.

    Args:
        window: Shape (nfft,).
        output: `magnitude` or `complex`.
        device: `cuda`; `cpu` computes the same on the host.

    Raises:
        SkippedError: torch can use no CUDA device.
    """
    torch = torch_or_error("the torch engine")
    open_device(device)
    weights = torch.from_numpy(window).to(device)

    def transform(frames: Array) -> Array:
        spectra = torch.fft.rfft(torch.from_numpy(np.array(frames)).to(device) * weights)
        result = spectra.abs() if output == "magnitude" else spectra
        return np.asarray(result.cpu().numpy())

    return transform


class TorchGraph:
    """The same, recorded once for each shape and replayed by one call.

    Raises:
        SkippedError: torch can use no CUDA device.
    """

    def __init__(self, window: Array, output: str) -> None:
        self._torch = torch_or_error("the torch-graph engine")
        open_device("cuda")
        self._weights = self._torch.from_numpy(window).cuda()
        self._magnitude = output == "magnitude"
        self._graphs: dict[tuple[int, ...], tuple[Array, Array, Any, Any]] = {}

    def __call__(self, frames: Array) -> Array:
        if frames.shape not in self._graphs:
            self._graphs[frames.shape] = self._recorded(frames)
        source, target, graph, _ = self._graphs[frames.shape]
        np.copyto(source, frames)
        graph.replay()
        self._torch.cuda.current_stream().synchronize()
        return target.copy()

    def _recorded(self, frames: Array) -> tuple[Array, Array, Any, Any]:
        """Both ends in page-locked memory, the graph, and what it writes and does not own."""
        torch = self._torch
        source = torch.empty(frames.shape, dtype=self._weights.dtype, pin_memory=True)
        near = source.cuda()
        target = self._spectra(near).cpu().pin_memory()
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(3):  # plans are made outside of the graph
                self._spectra(near)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            near.copy_(source, non_blocking=True)
            target.copy_(self._spectra(near), non_blocking=True)
        # Made before the graph, `near` lies outside its pool: given up, it would become others'.
        return source.numpy(), target.numpy(), graph, near

    def _spectra(self, near: Any) -> Any:
        spectra = self._torch.fft.rfft(near * self._weights)
        return spectra.abs() if self._magnitude else spectra
