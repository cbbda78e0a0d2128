"""`flyback verify`: whatever an account does unlike the rehearsal shows in the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from flyback.api import verifying
from flyback.api.verbs import Options
from flyback.api.verifying import Verification, _Scenario, seen_in
from flyback.api.wiring import local_home
from flyback.cli.main import cli
from flyback.errors import MissingExtraError, UserError
from flyback.launch.evidence import Evidence, differences
from flyback.launch.progress import silent
from flyback.rehearsal.middleware.faults import Fault
from flyback.spec.clock import SystemClock
from flyback.spec.codec import dumps, loads, read_json

OPTIONS = Options(cloud="rehearsal")
Plant = Callable[[Any, Any], None]


def no_idempotence(world: Any, cloud: Any) -> None:
    """A request that is repeated with its token gives a second machine."""
    del world
    asked: list[str] = []

    def other(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["ClientToken"])
        if asked.count(params["ClientToken"]) > 1:
            params["ClientToken"] = f"other-{len(asked)}"

    cloud.session.client("ec2").meta.events.register(
        "before-parameter-build.ec2.CreateFleet", other
    )


def no_universal_target(world: Any, cloud: Any) -> None:
    """Scheduler does not terminate machines."""
    del cloud
    world.emulated.timetable.lost = lambda schedule: "-machine-" in schedule.name


def goes_on_after_shutdown(world: Any, cloud: Any) -> None:
    """The shutdown attribute does nothing for a spot machine: EC2 goes on calling it running."""
    del cloud
    world.emulated.machines.power_off = lambda _: None


def no_tags(world: Any, cloud: Any) -> None:
    """The metadata service shows no list of tags."""
    del cloud
    boot = world.host.boot

    def without(instance_id: str, region: str) -> None:
        boot(instance_id, region)
        world.host.all[instance_id].listed = False

    world.host.boot = without


def refuses(world: Any, cloud: Any) -> None:
    """An operation that the rehearsal allows is refused once."""
    del cloud
    denied = {"code": "AccessDeniedException", "message": "no", "status": 400}
    world.emulated.faults.add(
        Fault(service="scheduler", operation="UpdateSchedule", calls=(1,), **denied)  # type: ignore[arg-type]
    )


def lacks_a_field(world: Any, cloud: Any) -> None:
    """An answer has not a field that the rehearsal gives."""
    del world
    events = cloud.session.client("ec2").meta.events
    events.register_first(
        "after-call.ec2.CreateFleet", lambda parsed, **_: parsed.pop("FleetId", 0)
    )


def no_agent(world: Any, cloud: Any) -> None:
    """User-data never gets as far as the agent: it leaves no event, and no environment."""
    del cloud
    world.host.dead_agent = True


def no_machine(world: Any, cloud: Any) -> None:
    """EC2 gives none."""
    _refuses_fleets(world, cloud, after=0)


def no_second_machine(world: Any, cloud: Any) -> None:
    """EC2 gives one, and then no other."""
    _refuses_fleets(world, cloud, after=1)


def _refuses_fleets(world: Any, cloud: Any, *, after: int) -> None:
    del cloud
    full = {"code": "MaxSpotInstanceCountExceeded", "message": "no more", "status": 400}
    machines: list[str] = []
    boot = world.host.boot

    def refuse() -> None:
        world.emulated.faults.add(Fault(service="ec2", operation="CreateFleet", **full))  # type: ignore[arg-type]

    def counted(instance_id: str, region: str) -> None:
        machines.append(instance_id)
        boot(instance_id, region)

    def ended(instance_id: str) -> None:
        type(world.host).halt(world.host, instance_id)
        if len(machines) == after:
            refuse()

    world.host.boot, world.host.halt = counted, ended
    if not after:
        refuse()


PLANTED: dict[str, tuple[Plant, str]] = {
    "token replay": (no_idempotence, "token replay"),
    "universal target": (no_universal_target, "universal target"),
    "shutdown attribute": (goes_on_after_shutdown, "own shutdown"),
    "tags at boot": (no_tags, "tags at boot"),
    "an error": (refuses, "scheduler.UpdateSchedule errors"),
    "a field": (lacks_a_field, "ec2.CreateFleet FleetId"),
    "the agent": (no_agent, "events"),
    "a refusal": (no_machine, "run"),
    "a second refusal": (no_second_machine, "universal target"),
}


@pytest.fixture
def seen(world: Any, copies: Any, pretended: None) -> Callable[[Plant | None], Evidence]:
    """What the scenario shows in a copy of the world with something planted."""
    del pretended

    def look(plant: Plant | None) -> str:
        world.cloud = copies.cloud
        cloud = world.client()
        if plant is not None:
            plant(world, cloud)
        return dumps(seen_in(cloud, OPTIONS, silent))

    def told(plant: Plant | None) -> Evidence:
        ((_, text),) = copies.each([plant], look)
        assert text.startswith("{"), text
        return loads(Evidence, text)

    return told


def test_two_rehearsals_agree(seen: Callable[[Plant | None], Evidence]) -> None:
    """In everything, and what AWS is to show first is among it."""
    expected = seen(None)
    assert not [item for item in differences(seen(None), expected) if item.counts]
    assert expected.facts["token replay"] == "the same machine"
    assert expected.facts["universal target"] == "terminated, Client.UserInitiatedShutdown"
    assert expected.facts["own shutdown"] == "terminated, Client.InstanceInitiatedShutdown"
    assert "flyback:deadline" in expected.facts["tags at boot"]


@pytest.mark.extended  # a rehearsal for each
@pytest.mark.timeout(600)
def test_each_planted_difference_shows(seen: Callable[[Plant | None], Evidence]) -> None:
    """The report names each."""
    expected = seen(None)
    for name, (plant, topic) in PLANTED.items():
        shown = seen(plant)
        found = [item.topic for item in differences(shown, expected) if item.counts]
        assert topic in found, f"{name}: {found}"
        assert name != "a second refusal" or shown.facts["run"] == "SUCCESS ok"  # kept all the same


def test_the_second_machine_is_stopped_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while its schedule is waited for: the 20 minutes are not left to the lease."""
    stopped: list[bool] = []
    run = SimpleNamespace(stop=lambda: stopped.append(True))

    def cut_off(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(_Scenario, "_start", lambda *_: run)
    monkeypatch.setattr(_Scenario, "_by_schedule", cut_off)
    with pytest.raises(KeyboardInterrupt):
        _Scenario(SimpleNamespace(), OPTIONS, silent).ended_by_its_schedule()  # type: ignore[arg-type]
    assert stopped == [True]


def test_a_cap_on_the_second_run_keeps_what_the_first_showed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The day's money is spent between the two: a fact, like any refusal."""

    def capped(*_: Any) -> None:
        raise UserError("max_usd_per_day pays for less than the boot")

    monkeypatch.setattr(_Scenario, "_start", capped)
    scenario = _Scenario(SimpleNamespace(), OPTIONS, silent)  # type: ignore[arg-type]
    scenario.ended_by_its_schedule()
    assert scenario.facts == {
        "universal target": "UserError: max_usd_per_day pays for less than the boot"
    }


def test_the_report_is_kept_and_a_difference_ends_with_five(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command runs both, prints what differs, and keeps a report without ids."""
    cloud = SimpleNamespace(session=SimpleNamespace(region="us-east-1"), clock=SystemClock())
    expected = Evidence(facts={"run": "SUCCESS ok"})
    seen = iter((Evidence(facts={"run": "FAILURE lost"}), expected))
    monkeypatch.setattr(verifying, "seen_in", lambda *_: next(seen))
    monkeypatch.setattr(verifying, "deploy", lambda *_: None)
    emulated = SimpleNamespace(emulated=SimpleNamespace(stop=lambda: None))
    monkeypatch.setattr(verifying, "start_rehearsal", lambda *_, **__: emulated)
    monkeypatch.setattr(Options, "open", lambda _: cloud)
    refused = CliRunner().invoke(cli, ["verify"])
    assert "two small machines" in str(refused.exception)
    done = CliRunner().invoke(cli, ["verify", "--yes"])
    assert getattr(done.exception, "exit_code", 0) == 5
    assert "differs: run: FAILURE lost; the rehearsal: SUCCESS ok" in done.output + done.stderr
    (report,) = (local_home() / "verify").iterdir()
    assert read_json(Verification, report).findings[0].topic == "run"


def test_what_the_account_did_is_kept_where_the_rehearsal_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It cost money, and is written before the rehearsal begins."""
    cloud = SimpleNamespace(session=SimpleNamespace(region="us-east-1"), clock=SystemClock())
    seen = Evidence(facts={"run": "FAILURE lost"})
    monkeypatch.setattr(verifying, "seen_in", lambda *_: seen)
    monkeypatch.setattr(Options, "open", lambda _: cloud)

    def breaks(*_: Any, **__: Any) -> None:
        raise MissingExtraError("no moto")

    monkeypatch.setattr(verifying, "start_rehearsal", breaks)
    with pytest.raises(MissingExtraError):
        verifying.verify()
    (report,) = (local_home() / "verify").iterdir()
    kept = read_json(Verification, report)
    assert (kept.cloud, kept.rehearsal) == (seen, None)


def test_what_only_the_account_answers_is_noted_and_does_not_count() -> None:
    """The rehearsal leaves fields out on purpose; that alone is no finding."""
    expected = Evidence(facts={}, calls={})
    (call,) = differences(
        loads(Evidence, '{"facts": {}, "calls": {"a.B": {"errors": [], "fields": ["x", "y"]}}}'),
        dataclasses.replace(
            expected,
            calls=loads(
                Evidence, '{"facts": {}, "calls": {"a.B": {"errors": [], "fields": ["x"]}}}'
            ).calls,
        ),
    )
    assert (call.topic, call.counts) == ("a.B y", False)
