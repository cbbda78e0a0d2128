"""A machine is sought in several types, zones, markets and regions, and every try is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flyback import errors
from flyback.api.job import Prepared
from flyback.api.verbs import Options, deploy, start
from flyback.api.wiring import Cloud, elsewhere, local_home
from flyback.launch.progress import silent
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.middleware.faults import Fault
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


def cut_off(emulated: RehearsalCloud, job: Prepared, cloud: Cloud, options: Options) -> None:
    """Launch, and hear nothing of the first request for a machine, which never arrived."""
    unheard = Fault(service="ec2", operation="CreateFleet", via="", calls=(2,), status=500)
    emulated.faults.add(unheard)  # the first call only asks whether it may be made
    emulated.faults.add(replace(unheard, calls=(3, 4, 5, 6)))
    with pytest.raises(errors.ServiceError):
        start(job, cloud, options, silent)
    emulated.faults.clear()
    launch, marker = written()
    (attempt,) = launch.attempts
    assert (attempt.instance_id, attempt.refusals, marker) == (None, (), None)


def test_a_replayed_request_that_is_refused_goes_on_to_the_next_try(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Cut off at the first of three tries: the same command makes the other two, and has luck."""
    job = gpu_job("spot.then=on-demand")
    options = Options(cloud="rehearsal", run_id="cut")
    cut_off(emulated, job, deployed, options)
    emulated.capacity.refuse(market="spot")
    run = start(job, deployed, options, silent)
    assert [each.market for each in run.launch.attempts] == ["spot", "spot", "on-demand"]
    assert [bool(each.instance_id) for each in run.launch.attempts] == [False, False, True]
    assert {each.kind for each in run.launch.attempts[0].refusals} == {"capacity"}
    assert len({each.token for each in run.launch.attempts}) == 3
    assert written() == (run.launch, None)
    assert len(deployed.session.ec2.instances("flyback:run-id", "cut")) == 1
    again = start(job, deployed, options, silent)  # has its machine: nothing is asked
    assert again.launch == run.launch


def test_a_replayed_request_may_end_in_another_region(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """All tries of the first region are in vain: the next one is asked, in the same run."""
    deploy(elsewhere(deployed, "us-west-2"), OPTIONS, silent)
    options = Options(cloud="rehearsal", run_id="cut", also_regions=("us-west-2",))
    cut_off(emulated, gpu_job(), deployed, options)
    for zone in "abcdef":
        emulated.capacity.refuse(zone=f"us-east-1{zone}")
    run = start(gpu_job(), deployed, options, silent)
    regions = [each.region for each in run.launch.attempts]
    assert regions == ["us-east-1", "us-east-1", "us-west-2"]
    assert run.launch.attempts[-1].instance_id
    again = start(gpu_job(), deployed, options, silent)  # is looked for where it is
    assert again.launch == run.launch


def test_a_launch_that_stays_without_a_machine_is_marked(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Replayed in vain, and so is the try after it: the run has failed, for want of capacity."""
    options = Options(cloud="rehearsal", run_id="cut")
    cut_off(emulated, gpu_job(), deployed, options)
    emulated.capacity.refuse()
    with pytest.raises(errors.CapacityError):
        start(gpu_job(), deployed, options, silent)
    launch, marker = written()
    assert len(launch.attempts) == 2
    assert marker is not None
    assert (marker.kind, marker.reason, marker.attempt) == ("FAILURE", "capacity", 2)


def test_a_replayed_request_that_no_try_can_mend_stops_at_once(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Quota is not capacity: the refusal is written down and nothing more is asked."""
    options = Options(cloud="rehearsal", run_id="cut")
    cut_off(emulated, gpu_job(), deployed, options)
    emulated.quotas.set(G_SPOT, 0)
    with pytest.raises(errors.QuotaError):
        start(gpu_job(), deployed, options, silent)
    launch, marker = written()
    assert {each.kind for each in launch.attempts[0].refusals} == {"quota"}
    assert len(launch.attempts) == 1
    assert marker is not None
    assert marker.reason == "quota"
