"""The verbs in Python, over the rooms below.

Takes: jobs, names of runs, options. Gives: plans, runs, certificates. Never: asks whether the cloud
is real or rehearsed outside `wiring`, which alone decides.
"""

from __future__ import annotations

from flyback.api.auditing import Footprint, PrincipalUse, footprint, read_policy
from flyback.api.benching import (
    bench,
    bench_against,
    crossover,
    predict_bench,
    prepare_against,
    prepare_bench,
)
from flyback.api.checkup import Finding, doctor, excess, in_parts, own_policy
from flyback.api.comparing import compare, compare_history
from flyback.api.history import Standing, open_collected, open_run, run_ids, standing
from flyback.api.pushing import Branch, PushAccess, check_push, let_push
from flyback.api.reaping import Reaped, reap
from flyback.api.rehearsing import Rehearsal, Setting, rehearse
from flyback.api.runs import Run
from flyback.api.verbs import NetworkChoice, Options, down, plan, run, serve, stored_objects, up
from flyback.api.verifying import Verification, verify
from flyback.store.sync import sync

__all__ = [
    "Branch",
    "Finding",
    "Footprint",
    "NetworkChoice",
    "Options",
    "PrincipalUse",
    "PushAccess",
    "Reaped",
    "Rehearsal",
    "Run",
    "Setting",
    "Standing",
    "Verification",
    "bench",
    "bench_against",
    "check_push",
    "compare",
    "compare_history",
    "crossover",
    "doctor",
    "down",
    "excess",
    "footprint",
    "in_parts",
    "let_push",
    "open_collected",
    "open_run",
    "own_policy",
    "plan",
    "predict_bench",
    "prepare_against",
    "prepare_bench",
    "read_policy",
    "reap",
    "rehearse",
    "run",
    "run_ids",
    "serve",
    "standing",
    "stored_objects",
    "sync",
    "up",
    "verify",
]
