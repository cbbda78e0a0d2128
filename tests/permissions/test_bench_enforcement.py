"""What it costs that every request of a rehearsal is signed for and judged."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyback import api
from flyback.rehearsal.iam import Judge
from flyback.rehearsal.middleware.authorizer import Authorizer

_EXAMPLES = Path(__file__).parents[2] / "examples"
_MOST = 0.2  # of what the same would take without
# Everything that is done for no other reason than that IAM is enforced; none calls another.
_JUDGING = (
    (Authorizer, "_check"),
    (Judge, "check"),
    (Judge, "check_handler"),
    (Judge, "check_token"),
    (Judge, "after"),
    (Judge, "after_token"),
)


class Spent:
    """Processor time of the calls that judge.

    Args:
        patch: Puts the stop-watch around each.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seconds, self.calls = 0.0, 0
        self._lock = threading.Lock()
        for holder, name in _JUDGING:
            patch.setattr(holder, name, self._timed(getattr(holder, name)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args)
            finally:
                took = time.thread_time() - began
                with self._lock:
                    self.seconds, self.calls = self.seconds + took, self.calls + 1

        return timed


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_bench_enforcement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two rehearsals of `make demo`: processor time of judging, of all that they take.

    Both are of the same run, thread by thread, so that a busy machine slows both.
    """
    spent = Spent(monkeypatch)
    before = _processor_seconds()
    plain = api.rehearse(_EXAMPLES / "spectral.yaml", preset="smoke")
    interruption = api.Setting(faults=("interrupt:at=50s,times=1",))
    interrupted = api.rehearse(_EXAMPLES / "interrupted.yaml", setting=interruption)
    total = _processor_seconds() - before
    added = spent.seconds / (total - spent.seconds)
    print(
        f"BENCH enforcement added_pct={100 * added:.1f} judging_s={spent.seconds:.2f} "
        f"total_s={total:.1f} calls={spent.calls}"
    )
    assert {plain.marker.kind, interrupted.marker.kind} == {"SUCCESS"}
    assert spent.calls > len(plain.asked) / 3
    assert added <= _MOST
