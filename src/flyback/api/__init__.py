"""Python verbs over the rooms below. `wiring` alone decides between real and rehearsed."""

from __future__ import annotations

from flyback.api.rehearsing import Rehearsal, rehearse
from flyback.api.runs import Run
from flyback.api.verbs import Options, down, open_run, plan, run, run_ids, up

__all__ = [
    "Options",
    "Rehearsal",
    "Run",
    "down",
    "open_run",
    "plan",
    "rehearse",
    "run",
    "run_ids",
    "up",
]
