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
    from flyback.api import Options as Options
    from flyback.api import Run as Run
    from flyback.api import bench as bench
    from flyback.api import bench_against as bench_against
    from flyback.api import compare as compare
    from flyback.api import compare_history as compare_history
    from flyback.api import crossover as crossover
    from flyback.api import doctor as doctor
    from flyback.api import down as down
    from flyback.api import footprint as footprint
    from flyback.api import open_run as open_run
    from flyback.api import plan as plan
    from flyback.api import prepare_against as prepare_against
    from flyback.api import prepare_bench as prepare_bench
    from flyback.api import reap as reap
    from flyback.api import rehearse as rehearse
    from flyback.api import run as run
    from flyback.api import run_ids as run_ids
    from flyback.api import serve as serve
    from flyback.api import standing as standing
    from flyback.api import sync as sync
    from flyback.api import up as up
    from flyback.api import verify as verify

__all__ = [
    "Options",
    "Run",
    "__version__",
    "bench",
    "bench_against",
    "compare",
    "compare_history",
    "crossover",
    "doctor",
    "down",
    "footprint",
    "open_run",
    "plan",
    "prepare_against",
    "prepare_bench",
    "reap",
    "rehearse",
    "run",
    "run_ids",
    "serve",
    "standing",
    "sync",
    "up",
    "verify",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("flyback.api"), name)
    raise AttributeError(f"module 'flyback' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
