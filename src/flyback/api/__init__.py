"""The verbs in Python, over the rooms below.

Takes: jobs, names of runs, options. Gives: plans, runs, certificates. Never: asks whether the cloud
is real or rehearsed outside `wiring`, which alone decides.
"""

from __future__ import annotations

from flyback.api.checkup import Finding, doctor
from flyback.api.history import Standing, open_collected, open_run, run_ids, standing
from flyback.api.reaping import Reaped, reap
from flyback.api.rehearsing import Rehearsal, Setting, rehearse
from flyback.api.runs import Run
from flyback.api.verbs import Options, down, plan, run, serve, stored_objects, up

__all__ = [
    "Finding",
    "Options",
    "Reaped",
    "Rehearsal",
    "Run",
    "Setting",
    "Standing",
    "doctor",
    "down",
    "open_collected",
    "open_run",
    "plan",
    "reap",
    "rehearse",
    "run",
    "run_ids",
    "serve",
    "standing",
    "stored_objects",
    "up",
]
