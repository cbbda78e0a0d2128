from __future__ import annotations

import json
from collections.abc import Callable

from flyback.results.summary import summarize
from flyback.spec.result import Result


def test_a_summary_is_plain_json_with_the_same_keys_for_every_cell(
    result: Callable[..., Result],
) -> None:
    """Scripts need not ask which keys are there."""
    failed = result(1, status="error", reason="no", latency_ns=None, stream=None, accuracy=None)
    command = Result(cell=2, values={"loss": 0.5})
    found = summarize([command, failed, result(0)])
    assert [item["cell"] for item in found] == [0, 1, 2]
    assert len({tuple(item) for item in found}) == 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found[1]["status"], found[1]["reason"], found[1]["latency_us"]) == ("error", "no", None)
    assert found[2]["values"] == {"loss": 0.5}


def test_figures_are_not_rounded(result: Callable[..., Result]) -> None:
    """Microseconds of whole nanoseconds, and null where there are too few samples."""
    (found,) = summarize([result(p50=20_039)])
    assert found["latency_us"]["p50"] == 20.039
    assert found["latency_us"]["p999"] is None
    assert (found["workload"], found["backend"], found["n"]) == (
        "spectral 1.0",
        "scipy 1.17.1",
        600,
    )
    assert found["accuracy"] == {
        "metric": "snr_db",
        "value": 137.691,
        "threshold": 120.0,
        "passed": True,
    }
