"""Whatever call a command is cut off at, the same command again ends where it would have ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_proof_converge(bench: Any, sweep: Callable[[Sequence[Any]], list[Any]]) -> None:
    """`up`, `run` and `down` in each of their forms, cut off at each call, converge when repeated.

    A case counts only where the call that was to fail did fail.
    """
    cases = sweep(bench.cases())
    failed = bench.not_converging(cases)
    converged = len(cases) - len(failed)
    calls = len({(case.command.name, case.k) for case in cases})
    commands = len({case.command.name for case in cases})
    modes = len({case.mode for case in cases})
    print(
        f"PROOF converge calls={calls} cases={len(cases)} converged={converged} "
        f"commands={commands} modes={modes}"
    )
    assert not failed, "\n".join(failed[:5])


def test_a_case_that_cuts_nothing_off_does_not_converge(bench: Any) -> None:
    """A cut that never comes proves nothing: in every mode, the case is told as failed."""
    last = bench.cases_of("down")[-1]  # where nothing is deployed
    cases = [dataclasses.replace(last, mode=mode, k=last.k + 1) for mode in bench.modes]
    told = bench.not_converging(cases)
    assert len(told) == len(cases) == 5
    assert all("nothing was cut off" in text for text in told)


def test_the_bootstrap_bucket_is_whole_wherever_its_maker_was_cut_off(bench: Any) -> None:
    """Killed between making it, closing it to the public and tagging it: `up` again sees to it."""
    early = [case for case in bench.cases_of("up") if case.k <= 8 and case.mode == "killed-before"]
    assert len(early) >= 4  # calls that only read fail in one way alone
    assert bench.not_converging(early) == []


def test_how_often_a_file_was_written_or_removed_is_no_matter(bench: Any) -> None:
    """Ends are compared by names; of what differs, a few lines say only that."""

    def end(*markers: str, size: int = 1) -> dict[str, list[str]]:
        bucket = {"Objects": {"a 1": ["x", 1]}, "DeleteMarkers": list(markers), "Size": size}
        return bench.canonical(json.dumps({"s3:bucket": {"b": bucket, "c": {"long": "x" * 9999}}}))

    assert bench.difference(end("f v1", "f v2"), end("f v3")) == ""
    told = bench.difference(end("f v1"), end("g v1", size=2))
    assert "f" in told and "g" in told  # noqa: PT018  # one sentence
    assert len(told) < 300
    assert "more" in bench.difference({}, end("f v1"))


@pytest.mark.parametrize(
    ("mode", "attempts", "ends"),
    [("lost", 5, pytest.raises(ConnectionClosedError)), ("repeated", 2, nullcontext())],
    ids=["lost", "repeated"],
)
def test_a_lost_answer_stays_lost(bench: Any, mode: str, attempts: int, ends: Any) -> None:
    """The SDK's retries are lost too where the mode says so; the call has its effect either way."""
    name = "flyback-data-123456789012-us-east-1"  # one that the deployer may make
    with bench.cloud_after() as cloud:
        client = bench.client(mode, 1)
        buckets = client.enter(cloud).session.client("s3")
        with ends:
            buckets.create_bucket(Bucket=name)
        assert (client.cut_off, client.calls) == (True, attempts)
        assert [item["Name"] for item in buckets.list_buckets()["Buckets"]] == [name]
