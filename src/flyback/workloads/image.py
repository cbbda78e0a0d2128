"""Image kernels: a blur, a resize, and a small stack of convolutions."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flyback.errors import MissingExtraError
from flyback.workloads.device import Device, torch_or_error
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Image", "gaussian"]

_CHANNELS = 3
_STACK = (3, 16, 32)


class Image(Plugin):
    """One operation on a batch of square colour images.

    `blur`: a Gaussian of k x k, separable, so 4 k operations per number instead of 2 k²; in float32
    it moves 8 bytes per number, so memory limits it once the images leave the cache. k is odd: an
    even kernel has no centre and shifts the image by half a pixel. Edges reflect without repeating
    the outermost pixel. `resize`: each output pixel is the mean of a 2 x 2 square, 5 numbers moved
    for every output. `conv`: 3 → 16 → 32 channels, 3 x 3, each with ReLU, then 2 x 2 maxima: 10,080
    operations per pixel, compute-bound.
    """

    name = "image"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 256, "samples": 30},
        "full": {"size": 2048, "samples": 30},
        "classic": {"size": 2048, "k": 15, "sigma": 5.0, "samples": 10},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """Operation, size and library."""

        operation: Literal["blur", "resize", "conv"] = parameter("blur", "what is computed")
        size: int = parameter(2048, "side of an image, pixels; even")
        batch: int = parameter(1, "images per call")
        k: int = parameter(15, "side of the blur's kernel; odd")
        sigma: float = parameter(2.6, "standard deviation of the blur, pixels")
        backend: Literal["auto", "cv2", "scipy", "torch", "dense"] = parameter(
            "auto",
            "auto: OpenCV if installed, else SciPy; torch on CUDA and for conv; dense: torch's "
            "k x k convolution, as a published comparison computes it",
        )

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.k < 1 or self.k % 2 == 0:
                raise ParameterError(
                    "k",
                    f"{self.k} is not odd: such a kernel has no centre",
                    remedy=f"write {self.k + 1}",
                )
            if self.size < 2 * self.k or self.size % 2:
                raise ParameterError("size", f"must be even and at least 2 k, not {self.size}")
            if self.sigma <= 0 or self.batch < 1:
                raise ParameterError("sigma", "sigma and batch must be greater than 0")
            if self.device == "cuda" and self.backend in ("cv2", "scipy"):
                raise ParameterError("backend", "computes on the CPU only", remedy="backend=torch")

        @property
        def computes_with(self) -> str:
            """The backend that `auto` stands for."""
            if self.backend != "auto":
                return self.backend
            if self.device == "cuda" or self.operation == "conv":
                return "torch"
            return "cv2" if importlib.util.find_spec("cv2") else "scipy"

    def setup(self, p: Any, device: Device) -> None:
        import numpy as np

        self._p, self._device = p, device
        self.backend = "torch" if p.computes_with == "dense" else p.computes_with
        if self.backend == "cv2" and importlib.util.find_spec("cv2") is None:
            raise MissingExtraError(
                "OpenCV is not installed",
                where="parameters.backend",
                remedy="pip install 'flyback[peers]'",
            )
        raw = device.integers(0, 256, p.batch, p.size, p.size, _CHANNELS)
        self.images = raw.astype(np.float32) / np.float32(255)
        self.kernel = gaussian(p.k, p.sigma)
        self._weights = [0.2 * device.normal(b, a, 3, 3) for a, b in itertools.pairwise(_STACK)]
        self._call = getattr(self, f"_{p.operation}_{self.backend}")()

    def run(self) -> Any:
        return self._call()

    def reference(self) -> Any:
        return getattr(self, f"_{self._p.operation}_reference")(self.images.astype("float64"))

    def work(self) -> Work:
        p = self._p
        pixels = p.batch * p.size**2
        numbers = _CHANNELS * pixels
        flops, moved = {
            "blur": (4 * p.k * numbers, 8 * numbers),
            "resize": (numbers, 5 * numbers),
            "conv": (
                sum(18 * a * b for a, b in itertools.pairwise(_STACK)) * pixels,
                4 * (numbers + _STACK[-1] * pixels // 4),
            ),
        }[p.operation]
        return Work(flops=flops, bytes=moved, items=p.batch, item_unit="image", launches=2)

    def _blur_cv2(self) -> Any:
        import cv2
        import numpy as np

        kernel, border = self.kernel.astype(np.float32), cv2.BORDER_REFLECT_101

        # Reused: new pages for every image would cost more than the blur. Poisoned, so that what is
        # not written shows.
        result = np.full_like(self.images, np.nan)

        def call() -> Any:
            for x, y in zip(self.images, result, strict=True):
                cv2.sepFilter2D(x, -1, kernel, kernel, dst=y, borderType=border)
            return result

        return call

    def _blur_scipy(self) -> Any:
        from scipy.ndimage import correlate1d

        def call() -> Any:
            rows = correlate1d(self.images, self.kernel, axis=1, mode="mirror")
            return correlate1d(rows, self.kernel, axis=2, mode="mirror")

        return call

    def _blur_torch(self) -> Any:
        torch, x = self._tensor()
        line = torch.from_numpy(self.kernel).to(x)
        half = self._p.k // 2
        functional = torch.nn.functional

        def padded() -> Any:
            return functional.pad(x, (half,) * 4, mode="reflect")

        if self._p.computes_with == "dense":
            square = torch.outer(line, line).expand(_CHANNELS, 1, -1, -1).contiguous()
            return lambda: functional.conv2d(padded(), square, groups=_CHANNELS)
        down = line.view(1, 1, -1, 1).expand(_CHANNELS, 1, -1, 1).contiguous()
        across = line.view(1, 1, 1, -1).expand(_CHANNELS, 1, 1, -1).contiguous()
        return lambda: functional.conv2d(
            functional.conv2d(padded(), down, groups=_CHANNELS), across, groups=_CHANNELS
        )

    def _resize_cv2(self) -> Any:
        import cv2
        import numpy as np

        half = (self._p.size // 2,) * 2
        return lambda: np.stack(
            [cv2.resize(x, half, interpolation=cv2.INTER_AREA) for x in self.images]
        )

    def _resize_scipy(self) -> Any:
        n, side = self._p.batch, self._p.size // 2
        return lambda: self.images.reshape(n, side, 2, side, 2, _CHANNELS).mean(axis=(2, 4))

    def _resize_torch(self) -> Any:
        torch, x = self._tensor()
        return lambda: torch.nn.functional.avg_pool2d(x, 2)

    def _conv_torch(self) -> Any:
        torch, x = self._tensor()
        weights = [torch.from_numpy(each).to(x) for each in self._weights]
        functional = torch.nn.functional

        def call() -> Any:
            with torch.inference_mode():
                y = x
                for weight in weights:
                    y = functional.relu(functional.conv2d(y, weight, padding=1))
                return functional.max_pool2d(y, 2)

        return call

    def _tensor(self) -> tuple[Any, Any]:
        """The images as torch wants them: shape (batch, channels, side, side), channels last."""
        torch = torch_or_error(f"image on {self._p.computes_with}")
        x = torch.from_numpy(self.images).permute(0, 3, 1, 2)
        return torch, (x.cuda() if self._device.kind == "cuda" else x)

    def output(self, result: Any) -> Any:
        """Results of torch with the channels last, as all others."""
        return result.permute(0, 2, 3, 1) if self.backend == "torch" else result

    def _blur_reference(self, images: Any) -> Any:
        from scipy.ndimage import correlate1d

        rows = correlate1d(images, self.kernel, axis=1, mode="mirror")
        return correlate1d(rows, self.kernel, axis=2, mode="mirror")

    def _resize_reference(self, images: Any) -> Any:
        n, side = self._p.batch, self._p.size // 2
        return images.reshape(n, side, 2, side, 2, _CHANNELS).mean(axis=(2, 4))

    def _conv_reference(self, images: Any) -> Any:
        torch = torch_or_error("the reference of image conv")
        y = torch.from_numpy(images).permute(0, 3, 1, 2)
        for weight in self._weights:
            kernel = torch.from_numpy(weight.astype("float64"))
            y = torch.relu(torch.nn.functional.conv2d(y, kernel, padding=1))
        return torch.nn.functional.max_pool2d(y, 2).permute(0, 2, 3, 1).numpy()


def gaussian(k: int, sigma: float) -> Any:
    """A sampled Gaussian of odd length k whose coefficients sum to 1, float64.

    Raises:
        ValueError: k is even.
    """
    import numpy as np

    if k % 2 == 0:
        raise ValueError(f"a kernel of {k} has no centre")
    x = np.arange(k) - k // 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()
