"""A machine is sought in several types, zones, markets and regions, and every try is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flyback import errors
from flyback.api.job import Prepared
from flyback.api.verbs import Options, deploy, start
from flyback.api.wiring import Cloud, elsewhere, local_home
from flyback.launch.progress import silent
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.results.views import attempts_view
from flyback.spec.codec import read_json
from flyback.spec.event import Marker
from flyback.spec.launch import Launch

G_SPOT = "L-3819A6DF"
OPTIONS = Options(cloud="rehearsal")
Job = Callable[..., Prepared]


class Nobody:
    """Machines without processes."""

    def boot(self, instance_id: str, region: str) -> None:
        """Nothing boots."""

    def halt(self, instance_id: str) -> None:
        """Nothing ends."""


@pytest.fixture
def emulated(deployed: Cloud) -> RehearsalCloud:
    """The emulated cloud below the deployed one; its machines never boot."""
    assert deployed.emulated is not None
    deployed.emulated.machines.host = Nobody()
    return deployed.emulated


def written() -> tuple[Launch, Marker | None]:
    """What the latest run wrote down here."""
    folder = max((local_home() / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    marker = folder / "marker.json"
    launch = read_json(Launch, folder / "launch.json")
    return launch, read_json(Marker, marker) if marker.exists() else None


def test_every_try_is_written_down(deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job) -> None:
    """Two spot tries, then on demand: each with its pools and why; the run is marked as failed."""
    emulated.capacity.refuse(zone="us-east-1a", code="UnfulfillableCapacity")
    emulated.capacity.refuse()
    job = gpu_job("spot.then=on-demand")
    with pytest.raises(errors.CapacityError, match="3 attempts"):
        start(job, deployed, OPTIONS, silent)
    launch, marker = written()
    assert [each.market for each in launch.attempts] == ["spot", "spot", "on-demand"]
    assert marker is not None
    assert (marker.kind, marker.reason) == ("FAILURE", "capacity")
    for each in launch.attempts:
        codes = {refusal.zone: refusal.code for refusal in each.refusals}
        assert codes["us-east-1a"] == "UnfulfillableCapacity"
        assert set(codes.values()) == {"UnfulfillableCapacity", "InsufficientInstanceCapacity"}
        assert {refusal.instance_type for refusal in each.refusals} == {"g4dn.xlarge"}
        assert {refusal.kind for refusal in each.refusals} == {"capacity"}
    times = [each.asked_at or 0 for each in launch.attempts]
    assert times == sorted(set(times))


def test_what_the_quota_does_not_allow_is_left_out(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Of two families, one without quota is left out and written down; the other is asked for."""
    emulated.quotas.set(G_SPOT, 0)
    emulated.capacity.refuse()
    told: list[str] = []
    job = gpu_job("resources.any_of=[g4dn.xlarge,c5.xlarge]", "+resources.count=0")
    with pytest.raises(errors.CapacityError):
        start(job, deployed, OPTIONS, lambda _, text: told.append(text))
    launch, _ = written()
    asked = launch.attempts[0].request["LaunchTemplateConfigs"][0]["Overrides"]
    assert {override["InstanceType"] for override in asked} == {"c5.xlarge"}
    left_out = [each for each in launch.attempts[0].refusals if each.kind == "quota"]
    assert [each.instance_type for each in left_out] == ["g4dn.xlarge"]
    assert any("spot without g4dn.xlarge" in text and G_SPOT in text for text in told)
    assert "quota" in rendered(attempts_view(launch.attempts))


def test_a_second_choice_is_told_with_the_first(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """A pool that has nothing, then one that has: launched there, and both stand in launch.json."""
    emulated.capacity.refuse("g4dn.xlarge")
    job = gpu_job("resources.any_of=[g4dn.xlarge,g5.xlarge]")
    run = start(job, deployed, OPTIONS, silent)
    (attempt,) = run.launch.attempts
    assert attempt.instance_type == "g5.xlarge"
    assert attempt.instance_id
    assert {refusal.instance_type for refusal in attempt.refusals} == {"g4dn.xlarge"}
    assert written() == (run.launch, None)
    told = rendered(attempts_view(run.launch.attempts))
    assert "g4dn.xlarge" in told
    assert "capacity: InsufficientInstanceCapacity" in told
    assert attempt.instance_id in told


def rendered(view: Any) -> str:
    """A view as plain text."""
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def test_another_region_stands_in(deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job) -> None:
    """No machine in the first, no deployment in the second: the third is asked."""
    deploy(elsewhere(deployed, "us-west-2"), OPTIONS, silent)
    for zone in "abcdef":
        emulated.capacity.refuse(zone=f"us-east-1{zone}")
    told: list[str] = []
    options = Options(cloud="rehearsal", also_regions=("eu-central-1", "us-west-2"))
    run = start(gpu_job(), deployed, options, lambda _, text: told.append(text))
    assert run.launch.region == "us-west-2"
    assert [(each.number, each.region) for each in run.launch.attempts] == [
        (1, "us-east-1"),
        (2, "us-east-1"),
        (3, "us-west-2"),
    ]
    assert (run.launch.attempts[-1].zone or "").startswith("us-west-2")
    assert any("no machine in eu-central-1: no flyback stack" in text for text in told)
    assert run.marker() is None
