"""flyback: GPU work out to AWS spot and home again.

    import flyback

    run = flyback.run("examples/spectral.yaml", engine="local")
    print(run.wait().kind, run.receipt().total_usd)

Names are loaded when first used: the agent imports this package on small machines.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyback.api import Run as Run
    from flyback.api import plan as plan
    from flyback.api import rehearse as rehearse
    from flyback.api import run as run

__all__ = ["Run", "__version__", "plan", "rehearse", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("flyback.api"), name)
    raise AttributeError(f"module 'flyback' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
