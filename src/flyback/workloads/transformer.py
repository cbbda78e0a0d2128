"""One block of a transformer: the unit that language models are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flyback.workloads.device import Device, torch_or_error
from flyback.workloads.parameters import ParameterError, parameter
from flyback.workloads.plugin import Plugin, PluginParams
from flyback.workloads.workload import Work

__all__ = ["Transformer"]

_WIDER = 4  # hidden units of the feed-forward part, in units of the width


class Transformer(Plugin):
    """Attention and feed-forward with their norms, forward or forward and backward.

    Per token of a sequence of s and width d: 24 d² operations in the four projections and the two
    layers of the feed-forward part, and 4 s d in the attention itself, so products of matrices
    dominate until s is several times d. Backward costs twice the forward. Large batches are limited
    by arithmetic, a single token by reading the 12 d² weights once. Needs torch.
    """

    name = "transformer"
    needs = "train"
    backend = "torch"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"width": 64, "sequence": 32, "heads": 4, "samples": 30},
        "full": {"width": 1024, "sequence": 1024, "heads": 16, "batch": 8, "samples": 30},
    }

    @dataclass(frozen=True, kw_only=True)
    class Params(PluginParams):
        """Shape, direction and element type."""

        batch: int = parameter(1, "sequences per call")
        sequence: int = parameter(256, "tokens per sequence")
        width: int = parameter(512, "numbers per token")
        heads: int = parameter(8, "heads of attention; a divisor of the width")
        backward: bool = parameter(default=False, explanation="whether gradients are computed too")
        dtype: Literal["float32", "bfloat16"] = parameter("float32", "element type")

        def __post_init__(self) -> None:
            super().__post_init__()
            if min(self.batch, self.sequence, self.width, self.heads) < 1:
                raise ParameterError("width", "batch, sequence, width and heads are at least 1")
            if self.width % self.heads:
                raise ParameterError("heads", f"{self.heads} does not divide {self.width}")

    def setup(self, p: Any, device: Device) -> None:
        self._torch = torch = torch_or_error("transformer")
        self._p, self.dtype = p, p.dtype
        self.snr_floor_db = 100.0 if p.dtype == "float32" else 30.0
        kind = getattr(torch, p.dtype)

        def weight(rows: int, columns: int) -> Any:
            return device.put(device.normal(rows, columns) / columns**0.5)

        d = p.width
        shapes = ((3 * d, d), (d, d), (_WIDER * d, d), (d, _WIDER * d))
        made = [weight(*shape) for shape in shapes]
        as_tensor = torch.as_tensor
        self._weights = [as_tensor(w).to(kind).requires_grad_(p.backward) for w in made]
        x = as_tensor(device.put(device.normal(p.batch, p.sequence, d)))
        self._x = x.to(kind).requires_grad_(p.backward)

    def run(self) -> Any:
        if not self._p.backward:
            with self._torch.inference_mode():
                return self._block(self._x, self._weights)
        y = self._block(self._x, self._weights)
        (gradient,) = self._torch.autograd.grad(y.float().square().mean(), self._x)
        return gradient

    def reference(self) -> Any:
        torch = self._torch
        weights = [w.detach().cpu().double() for w in self._weights]
        x = self._x.detach().cpu().double().requires_grad_(self._p.backward)
        y = self._block(x, weights)
        if not self._p.backward:
            return y.detach().numpy()
        return torch.autograd.grad(y.square().mean(), x)[0].numpy()

    def work(self) -> Work:
        p = self._p
        tokens = p.batch * p.sequence
        flops = tokens * (24 * p.width**2 + 4 * p.sequence * p.width)
        size = 4 if p.dtype == "float32" else 2
        moved = size * (12 * p.width**2 + 2 * tokens * p.width)
        times = 3 if p.backward else 1
        return Work(
            flops=times * flops, bytes=times * moved, items=tokens, item_unit="token", launches=10
        )

    def _block(self, x: Any, weights: Any) -> Any:
        functional = self._torch.nn.functional
        qkv, out, up, down = weights
        b, s, d = x.shape
        heads = self._p.heads
        norm = functional.layer_norm(x, (d,))
        q, k, v = (
            part.view(b, s, heads, d // heads).transpose(1, 2)
            for part in functional.linear(norm, qkv).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + functional.linear(mixed.transpose(1, 2).reshape(b, s, d), out)
        hidden = functional.gelu(functional.linear(functional.layer_norm(x, (d,)), up))
        return x + functional.linear(hidden, down)
