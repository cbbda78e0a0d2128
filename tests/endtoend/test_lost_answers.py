"""EC2 was asked for a machine and its answer was lost: nobody asks elsewhere, or calls it lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flyback import errors
from flyback.api.job import Prepared
from flyback.api.runs import Run
from flyback.api.verbs import Options, deploy, start
from flyback.api.wiring import Cloud, elsewhere, local_home, start_rehearsal
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.launch.progress import silent
from flyback.launch.watch import SILENCE_S
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.ec2.machines import NoHost
from flyback.rehearsal.middleware.faults import Fault
from flyback.rehearsal.moto_state import ACCOUNT
from flyback.results.standing import status_view
from flyback.spec.codec import read_json
from flyback.spec.event import Marker
from flyback.spec.launch import Launch
from flyback.spec.plan import Plan

RUN = "unheard"
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
RETRIES = 5  # as often botocore sends a request
Job = Callable[..., Prepared]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Cloud]:
    """Deployed in the first region, by a deployer who may in all three."""
    places = [Place(name="flyback", account=ACCOUNT, region=region) for region in REGIONS]
    cloud = start_rehearsal(tmp_path, region=REGIONS[0], policy=deployer_policy(*places))
    assert cloud.emulated is not None
    try:
        deploy(cloud, Options(cloud="rehearsal"), silent)
        yield cloud
    finally:
        cloud.emulated.stop()


@pytest.fixture
def everywhere(deployed: Cloud) -> None:
    """Deployed in the other two as well."""
    for region in REGIONS[1:]:
        deploy(elsewhere(deployed, region), Options(cloud="rehearsal"), silent)


@pytest.fixture
def emulated(deployed: Cloud) -> RehearsalCloud:
    """The emulated cloud below the deployed one; its machines never boot."""
    assert deployed.emulated is not None
    deployed.emulated.machines.host = NoHost()
    deployed.emulated.functions.broken = lambda _: True  # the guardian would ask for another
    return deployed.emulated


def options(*regions: str) -> Options:
    """A named run, and where else it may go."""
    return Options(cloud="rehearsal", run_id=RUN, also_regions=regions)


def lose(emulated: RehearsalCloud, first: int, *, acted: bool) -> None:
    """EC2's answer is lost from this CreateFleet on, as often as it is sent again.

    Args:
        emulated: Where.
        first: Which call, from 1; a dry run counts.
        acted: Whether EC2 does what it is asked.
    """
    calls = tuple(range(first, first + RETRIES))
    lost = Fault(service="ec2", operation="CreateFleet", via="", calls=calls, drop=True, late=acted)
    emulated.faults.add(lost)


def written() -> Launch:
    """The launch as it was written down here."""
    return read_json(Launch, local_home() / "runs" / RUN / "launch.json")


def opened(cloud: Cloud) -> Run:
    """The run as another command finds it."""
    plan = read_json(Plan, local_home() / "runs" / RUN / "plan.json")
    return Run(written(), plan, cloud, silent)


def machines(cloud: Cloud) -> list[str]:
    """Machines of the run, in any state."""
    return [item.instance_id for item in cloud.session.ec2.instances("flyback:run-id", RUN)]


def no_capacity(emulated: RehearsalCloud, region: str) -> None:
    """No zone of a region has a machine."""
    for zone in "abcdef":
        emulated.capacity.refuse(zone=f"{region}{zone}")


@pytest.mark.usefixtures("everywhere")
def test_a_region_whose_answer_was_lost_is_not_left(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """The second region may have a machine: the third is not asked, and the same command adopts."""
    west, third = elsewhere(deployed, "us-west-2"), elsewhere(deployed, "eu-west-1")
    no_capacity(emulated, "us-east-1")
    lose(emulated, 5, acted=True)  # after a dry run and two tries, and the second region's dry run
    regions = options("us-west-2", "eu-west-1")
    with pytest.raises(errors.NetworkError, match="answer was lost") as told:
        start(gpu_job(), deployed, regions, silent)
    assert f"flyback attach {RUN}" in told.value.remedy
    last = written().attempts[-1]
    assert (last.region, last.is_answered) == ("us-west-2", False)
    (made,) = machines(west)
    assert machines(third) == []
    assert opened(west).marker() is None
    emulated.faults.clear()
    run = start(gpu_job(), deployed, regions, silent)
    assert run.launch.attempts[-1].instance_id == made
    assert machines(west) == [made]
    assert machines(third) == []


@pytest.mark.usefixtures("everywhere")
def test_a_region_that_answered_with_a_refusal_is_left(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """A code that nobody knows, from the second region: it made nothing, the third is asked."""
    no_capacity(emulated, "us-east-1")
    odd = Fault(service="ec2", operation="CreateFleet", via="", calls=(5,), code="Odd", status=400)
    emulated.faults.add(odd)
    run = start(gpu_job(), deployed, options("us-west-2", "eu-west-1"), silent)
    assert [each.region for each in run.launch.attempts[2:]] == ["us-west-2", "eu-west-1"]
    assert [each.code for each in run.launch.attempts[2].refusals] == ["Odd"]
    assert run.launch.attempts[-1].instance_id


@pytest.mark.usefixtures("everywhere")
def test_a_region_that_fails_before_it_is_asked_is_left(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Nothing was sent there: whatever the service says, the next region is asked."""
    no_capacity(emulated, "us-east-1")
    odd = Fault(service="ec2", operation="CreateFleet", via="", calls=(4,), code="Odd", status=400)
    emulated.faults.add(odd)  # the second region's dry run
    run = start(gpu_job(), deployed, options("us-west-2", "eu-west-1"), silent)
    regions = [each.region for each in run.launch.attempts]
    assert regions == ["us-east-1", "us-east-1", "eu-west-1"]


@pytest.mark.usefixtures("everywhere")
def test_a_region_whose_service_fails_leaves_the_run_open(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """No region has said that it has nothing for good: the same command goes on, and is granted."""
    no_capacity(emulated, "us-east-1")
    odd = Fault(service="ec2", operation="CreateFleet", via="", calls=(4,), code="Odd", status=400)
    emulated.faults.add(odd)  # the second region's dry run
    with pytest.raises(errors.CapacityError):
        start(gpu_job(), deployed, options("us-west-2"), silent)
    assert opened(deployed).marker() is None
    emulated.faults.clear()
    run = start(gpu_job(), deployed, options("us-west-2"), silent)
    last = run.launch.attempts[-1]
    assert (last.region, last.instance_id is not None) == ("us-west-2", True)


@pytest.mark.usefixtures("everywhere")
def test_an_earlier_answer_says_nothing_of_a_request_that_is_sent_again(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Refused once, sent again, granted and unheard: no other region is asked, one machine."""
    expired = Fault(
        service="ec2", operation="CreateFleet", via="", calls=(2,), code="ExpiredToken", status=400
    )
    emulated.faults.add(expired)
    with pytest.raises(errors.CredentialsError):
        start(gpu_job(), deployed, options("us-west-2"), silent)
    assert written().attempts[-1].is_answered
    emulated.faults.clear()
    lose(emulated, 1, acted=True)
    with pytest.raises(errors.NetworkError, match="answer was lost"):
        start(gpu_job(), deployed, options("us-west-2"), silent)
    assert not written().attempts[-1].is_answered
    emulated.faults.clear()
    (made,) = machines(deployed)
    run = start(gpu_job(), deployed, options("us-west-2"), silent)
    assert run.launch.attempts[-1].instance_id == made
    assert machines(deployed) == [made]
    assert machines(elsewhere(deployed, "us-west-2")) == []


def test_a_refusal_of_a_request_that_was_sent_before_proves_nothing(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """The first sending made a machine, unheard; the second is refused: the run stays open."""
    unheard = Fault(
        service="ec2", operation="CreateFleet", via="", calls=(2,), drop=True, late=True
    )
    again = Fault(
        service="ec2", operation="CreateFleet", via="", calls=(3,), code="ExpiredToken", status=400
    )
    emulated.faults.add(unheard, again)
    with pytest.raises(errors.CredentialsError, match="answer was lost"):
        start(gpu_job(), deployed, options(), silent)
    emulated.faults.clear()
    assert not written().attempts[-1].is_answered
    (made,) = machines(deployed)
    assert opened(deployed).attach().launch.attempts[-1].instance_id == made


@pytest.mark.parametrize("later", [30.0, 3000.0])
def test_collect_and_status_look_by_tag_before_a_run_is_lost(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job, later: float
) -> None:
    """The machine that nobody has seen is found by its tags, however late, and is no loss."""
    lose(emulated, 2, acted=True)
    with pytest.raises(errors.NetworkError):
        start(gpu_job(), deployed, options(), silent)
    emulated.faults.clear()
    deployed.clock.sleep(later)
    (made,) = machines(deployed)
    run = opened(deployed)
    assert run.collect() is None
    assert run.launch.attempts[-1].instance_id == made
    status = opened(deployed).status()
    assert (status.state, status.note) == ("running", "")
    assert "g4dn.xlarge" in status.machine
    emulated.machines.power_off(made)
    deployed.clock.sleep(60 + SILENCE_S)
    marker = opened(deployed).collect()
    assert marker is not None
    assert (marker.reason, marker.log_tail[:34]) == ("lost", "the machine ended without a word (")


def test_wait_finds_the_machine_of_a_lost_answer(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """`wait` takes the end of that machine for the run's, and the receipt has its hours."""
    lose(emulated, 2, acted=True)
    with pytest.raises(errors.NetworkError):
        start(gpu_job(), deployed, options(), silent)
    emulated.faults.clear()
    (made,) = machines(deployed)
    emulated.clock.call_after(1800, lambda: emulated.machines.power_off(made))
    run = opened(deployed)
    assert run.wait().reason == "lost"
    assert run.launch.attempts[-1].instance_id == made
    compute = [item for item in run.receipt().lines if item.item == "compute"]
    assert sum(item.quantity for item in compute) == pytest.approx(0.5, rel=0.1)


def test_only_where_no_machine_carries_the_tags_is_a_run_lost(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """The request never arrived: open for ten minutes, and `status` says so; then it is lost."""
    lose(emulated, 2, acted=False)
    with pytest.raises(errors.NetworkError):
        start(gpu_job(), deployed, options(), silent)
    emulated.faults.clear()
    status = opened(deployed).status()
    assert (status.state, status.health, status.usd) == ("launching", "no machine", 0.0)
    assert f"flyback attach {RUN}" in status.note
    assert opened(deployed).collect() is None
    deployed.clock.sleep(601)
    marker = opened(deployed).collect()
    assert marker is not None
    assert (marker.kind, marker.reason) == ("FAILURE", "lost")
    assert "no machine carries the run's tags" in marker.log_tail


def test_a_request_that_is_sent_again_has_its_ten_minutes_anew(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Replayed after its time, and unheard again: the run is not lost at once."""
    for first in (2, 1):  # the first command begins with a dry run
        lose(emulated, first, acted=False)
        with pytest.raises(errors.NetworkError, match="answer was lost"):
            start(gpu_job(), deployed, options(), silent)
        emulated.faults.clear()
        deployed.clock.sleep(700 if first > 1 else 0)
    assert opened(deployed).collect() is None


def test_one_pool_of_unknown_trouble_does_not_stop_the_tries(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """One zone has no address and one says what nobody knows; the others may come free."""
    emulated.capacity.refuse(zone="us-east-1a", code="InsufficientFreeAddressesInSubnet")
    emulated.capacity.refuse(zone="us-east-1b", code="Odd")
    emulated.capacity.refuse()
    told: list[str] = []
    with pytest.raises(errors.CapacityError, match="2 attempts"):
        start(gpu_job(), deployed, options(), lambda _, text: told.append(text))
    assert any("passed over g4dn.xlarge in us-east-1b: Odd" in text for text in told)
    assert any("in us-east-1a: InsufficientFreeAddressesInSubnet" in text for text in told)
    kinds = {each.code: each.kind for each in written().attempts[0].refusals}
    assert (kinds["Odd"], kinds["InsufficientFreeAddressesInSubnet"]) == ("service", "network")
    marker = opened(deployed).marker()
    assert marker is not None
    assert marker.reason == "capacity"


@pytest.mark.parametrize(
    ("code", "reason", "tries"),
    [
        ("InsufficientFreeAddressesInSubnet", "network", 1),
        ("Odd", "service", 1),
        ("InternalError", "service", 2),
    ],
)
def test_where_every_pool_failed_the_run_has_failed_and_status_says_why(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job, code: str, reason: str, tries: int
) -> None:
    """EC2 has answered, so nothing is open: a marker, and `status` repeats EC2's words."""
    emulated.capacity.refuse(code=code)
    with pytest.raises(errors.ServiceError, match=code):
        start(gpu_job(), deployed, options(), silent)
    assert len(written().attempts) == tries
    marker = opened(deployed).marker()
    assert isinstance(marker, Marker)
    assert (marker.kind, marker.reason) == ("FAILURE", reason)
    status = opened(deployed).status()
    assert (status.state, status.health) == ("FAILURE", "ended")
    assert code in status.note
    assert code in shown(status)


def test_a_missing_permission_leaves_the_run_open_and_status_says_so(
    deployed: Cloud, emulated: RehearsalCloud, gpu_job: Job
) -> None:
    """Once it is granted the same command goes on; if nobody comes, the run has failed by it."""
    emulated.capacity.refuse(code="UnauthorizedOperation")
    with pytest.raises(errors.AccessDeniedError):
        start(gpu_job(), deployed, options(), silent)
    status = opened(deployed).status()
    assert status.state == "launching"
    assert status.note.startswith("refused for permission: UnauthorizedOperation")
    deployed.clock.sleep(601)
    marker = opened(deployed).collect()
    assert marker is not None
    assert (marker.reason, "UnauthorizedOperation" in marker.log_tail) == ("permission", True)


def shown(status: object) -> str:
    """What `flyback status` prints."""
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(status_view(status))  # type: ignore[arg-type]  # it has what is shown
    return capture.get()
