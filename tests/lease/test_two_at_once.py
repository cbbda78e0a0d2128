"""Two that look after one run at once: neither undoes what the other has done."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, start
from flyback.errors import ConflictError, UserError
from flyback.launch.daybook import claim, commit, committed, withdraw
from flyback.launch.ec2 import Ec2Executor
from flyback.launch.extend import extend, movable
from flyback.launch.guardian import relaunch as asking
from flyback.launch.guardian.decide import Relaunch
from flyback.launch.guardian.relaunch import relaunch
from flyback.launch.lease import attempted, held, hold, release, with_attempt
from flyback.launch.progress import silent
from flyback.launch.records import Records
from flyback.spec.event import Marker
from flyback.spec.job import JobSpec
from flyback.spec.launch import Attempt, Launch, Place
from flyback.store.memory import MemoryStore

OPTIONS = Options(cloud="rehearsal")
START, HOUR = 1_000_000.0, 3600.0
CHEAP = {"count": 0, "any_of": ["c5.xlarge"]}


def _attempt(number: int, **fields: Any) -> Attempt:
    tags = [{"Key": "flyback:deadline", "Value": str(int(START + HOUR))}]
    request = {
        "TargetCapacitySpecification": {},
        "LaunchTemplateConfigs": [{"Overrides": []}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
    }
    given = {"token": f"r-{number}", "market": "spot", "request": request, "asked_at": START}
    return Attempt(number=number, **{**given, **fields})


def _launch(*attempts: Attempt) -> Launch:
    return Launch(
        run_id="r",
        job=JobSpec(name="j", command=("true",)),
        engine="ec2",
        region="us-east-1",
        store="memory://",
        log_group="",
        image_id="ami-1",
        image_parameter="",
        bundle_sha256="",
        workdir_sha256=None,
        created_at=START,
        deadline=START + HOUR,
        attempts=attempts,
        place=Place(
            group="g",
            terminate_role="arn:aws:iam::123456789012:role/t",
            guardian="f",
            invoke_role="i",
        ),
    )


def _later(launch: Launch | None) -> Launch:
    assert launch is not None
    return dataclasses.replace(launch, deadline=START + 2 * HOUR)


class Account:
    """An account in which machines are counted, schedules kept, and others act meanwhile."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tags: dict[str, str] = {}
        self.at: dict[str, int] = {}
        self.meanwhile: Any = lambda: None
        self.ec2 = SimpleNamespace(
            create_fleet=self._create_fleet,
            instance=lambda _: None,
            instances=lambda *_: [
                SimpleNamespace(instance_id=name, state="running", tags={}) for name in self.tags
            ],
            tag=lambda ids, tags: self.tags.update(dict.fromkeys(ids, tags["flyback:deadline"])),
        )
        self.schedules = SimpleNamespace(
            put=lambda moment, _: self.at.update({moment.name: moment.at}),
            get=self._get,
            update=lambda moment: self.at.update({moment.name: moment.at}) or True,
            delete=lambda _, name: self.at.pop(name, None),
        )

    def guard(self, store: MemoryStore) -> Any:
        return SimpleNamespace(
            store=store,
            session=self,
            place=_launch().place,
            records=lambda run_id: Records(run_id, store, store),
            clock=SimpleNamespace(now=lambda: START + 60),
        )

    def _create_fleet(self, request: Any, run_id: str) -> Any:
        self.asked.append(request["ClientToken"])
        name = f"i-{run_id}-{len(self.asked)}"
        self.tags[name] = request["TagSpecifications"][0]["Tags"][0]["Value"]
        self.meanwhile()
        return SimpleNamespace(instance_ids=(name,), instance_type="c5.xlarge", errors=())

    def _get(self, group: str, name: str) -> Any:
        if name not in self.at:
            return None
        from flyback.aws.scheduler import Moment

        at = self.at[name]
        return Moment(name=name, group=group, at=at, target="", role="", payload={})


@pytest.fixture
def store() -> MemoryStore:
    """Holds nothing."""
    return MemoryStore()


def test_a_change_is_made_anew_to_what_somebody_else_has_written(store: MemoryStore) -> None:
    """Both changes stand, whoever is quicker, and the first of all is no exception."""
    first = _launch(_attempt(1, instance_id="i-1"))
    seen = []

    def other() -> None:
        if len(seen) == 1:
            hold(store, "r", lambda there: _later(there or first))

    def change(there: Launch | None) -> Launch:
        seen.append(there)
        other()
        return with_attempt(there or first, _attempt(2))

    stands = hold(store, "r", change)
    assert [there is None for there in seen] == [True, False]
    assert stands == held(store, "r")
    assert (len(stands.attempts), stands.deadline) == (2, START + 2 * HOUR)


def test_a_client_that_was_away_drops_no_attempt_and_no_extension(store: MemoryStore) -> None:
    """Its own attempt is noted where nobody has noted it; all else stays as it is held."""
    mine = _launch(_attempt(1))
    there = _later(_launch(_attempt(1), _attempt(2, instance_id="i-2")))
    hold(store, "r", lambda _: there)
    stands = attempted(store, with_attempt(mine, _attempt(1, instance_id="i-1")))
    assert [item.instance_id for item in stands.attempts] == ["i-1", "i-2"]
    assert stands.deadline == there.deadline
    assert attempted(store, mine) == stands


@pytest.mark.parametrize("again", [False, True])
def test_a_guardian_that_is_behind_asks_for_nothing(store: MemoryStore, again: bool) -> None:  # noqa: FBT001  # drawn
    """It looked at attempt 1 while another has come to attempt 3: no token is sent again."""
    granted = [_attempt(number, instance_id=f"i-{number}") for number in (1, 2, 3)]
    hold(store, "r", lambda _: _launch(*granted))
    account = Account()
    step = Relaunch(number=2, market="spot", again=again)
    stands = relaunch(account.guard(store), _launch(granted[0]), step)
    assert account.asked == []
    assert stands == held(store, "r") == _launch(*granted)


def test_a_released_run_gets_no_machine(store: MemoryStore) -> None:
    """Whoever looked before the run was released is told, and nothing is held again."""
    account = Account()
    with pytest.raises(ConflictError, match="released meanwhile"):
        relaunch(account.guard(store), _launch(_attempt(1)), Relaunch(number=2, market="spot"))
    assert account.asked == []
    assert held(store, "r") is None


def _stop(store: MemoryStore) -> Marker:
    """What `flyback stop` writes first."""
    marker = Marker(
        run_id="r",
        attempt=1,
        kind="INTERRUPTED",
        exit_code=None,
        reason="stopped",
        log_tail="",
        at=START + 61,
    )
    return Records("r", store, store).declare(marker)


def test_a_release_takes_the_schedules_of_attempts_that_came_meanwhile(store: MemoryStore) -> None:
    """The client knows of one; the guardian's second was armed while it looked."""
    hold(store, "r", lambda _: _launch(_attempt(1, instance_id="i-1"), _attempt(2)))
    account: Any = Account()
    account.at = dict.fromkeys(("r-deadline", "r-machine-1", "r-machine-2"), 0)
    release(account, store, "g", "r", 1)
    assert account.at == {}
    assert list(store.list("leases/")) == []


def test_a_machine_that_is_granted_during_an_extension_has_the_new_deadline(
    store: MemoryStore,
) -> None:
    """Lease, tag and schedule: what the other moved while EC2 was asked is not moved back."""
    launch = _launch(_attempt(1, instance_id="i-1"))
    hold(store, "r", lambda _: launch)
    account = Account()
    account.meanwhile = lambda: hold(store, "r", _later)
    stands = relaunch(account.guard(store), launch, Relaunch(number=2, market="spot"))
    later = int(START + 2 * HOUR)
    assert stands == held(store, "r")
    assert (stands.deadline, stands.attempts[-1].instance_id) == (later, "i-r-1")
    assert account.at == {"r-machine-2": later}
    assert account.tags == {"i-r-1": str(later)}


def test_an_extension_takes_in_the_machine_that_was_granted_meanwhile(store: MemoryStore) -> None:
    """Moved for the first machine; the second stands in its place before the move is held."""
    hold(store, "r", lambda _: _launch(_attempt(1, instance_id="i-1")))
    account, records = Account(), Records("r", store, store)
    account.tags["i-1"] = ""
    account.at = dict.fromkeys(("r-deadline", "r-machine-1"), int(START + HOUR))
    tag, seen = account.ec2.tag, []

    def granted(ids: Any, tags: Any) -> None:
        tag(ids, tags)
        if not seen:
            seen.append(ids)
            account.tags["i-2"], account.at["r-machine-2"] = "", int(START + HOUR)
            second = _attempt(2, instance_id="i-2")
            hold(store, "r", lambda there: with_attempt(there or _launch(), second))

    account.ec2.tag = granted
    clock = SimpleNamespace(now=lambda: START + 60)
    session: Any = account
    current = movable("r", records, clock)  # type: ignore[arg-type]  # all that is asked of it
    moved = extend(session, current, START + 2 * HOUR, records, clock)  # type: ignore[arg-type]
    later = int(START + 2 * HOUR)
    assert moved == held(store, "r")
    assert (len(moved.attempts), moved.deadline) == (2, later)
    assert {account.at[name] for name in ("r-deadline", "r-machine-2")} == {later}
    assert account.tags["i-2"] == str(later)


def test_of_two_extensions_at_once_one_is_refused(store: MemoryStore) -> None:
    """It would move the deadline earlier than the other's: all stays as the other left it."""
    hold(store, "r", lambda _: _launch(_attempt(1, instance_id="i-1")))
    account, records = Account(), Records("r", store, store)
    account.tags["i-1"] = ""
    clock: Any = SimpleNamespace(now=lambda: START + 60)
    session: Any = account
    current = movable("r", records, clock)
    extend(session, current, START + 2 * HOUR, records, clock)
    with pytest.raises(ConflictError, match="somebody else"):
        extend(session, current, START + 1.5 * HOUR, records, clock)
    later = int(START + 2 * HOUR)
    assert set(account.at.values()) == {later}
    assert account.tags == {"i-1": str(later)}
    assert [item.key for item in store.list("leases/")] == ["leases/r/launch.json"]


def test_two_claims_at_once_do_not_pass_the_cap(store: MemoryStore) -> None:
    """Whoever finds that both do not fit takes back its own, or what stood before it."""
    claim(store, START, "one", 3.0, cap=5.0)
    claim(store, START, "two", 2.0, cap=5.0)
    with pytest.raises(UserError, match=r"\$3 of other runs today .* max_usd_per_day \$5"):
        claim(store, START, "two", 4.0, cap=5.0)
    assert committed(store, START, "one") == 2.0


def test_a_claim_that_is_refused_leaves_a_larger_one_of_the_same_run(store: MemoryStore) -> None:
    """Two terminals extend one run: who asks for too much takes back its own figure alone."""
    claim(store, START, "other", 1.0, cap=5.0)
    claim(store, START, "run", 2.0, cap=5.0)
    put = store.put
    meanwhile = [3.0]

    def slow(key: str, data: bytes, **conditions: Any) -> str:
        tag = put(key, data, **conditions)
        if meanwhile:
            claim(store, START, "run", meanwhile.pop(), cap=5.0)
        return tag

    store.put = slow  # type: ignore[method-assign]  # the second terminal, in between
    with pytest.raises(UserError, match=r"\$1 of other runs today"):
        claim(store, START, "run", 4.5, cap=5.0)
    assert committed(store, START, "other") == 3.0
    claimed = claim(store, START, "run", 4.0, cap=5.0)
    assert committed(store, START, "other") == 4.0
    withdraw(store, START, "run", claimed)  # it could not be moved
    assert committed(store, START, "other") == 3.0


def launch(world: Any, name: str, **fields: Any) -> Any:
    """Launch a job under its own name as run id."""
    options = dataclasses.replace(OPTIONS, run_id=name)
    return start(prepare(world.job(name, **fields)), world.client(), options, silent)


@pytest.mark.usefixtures("quick")
def test_a_machine_that_comes_after_the_stop_is_ended_at_once(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, then stopped between the guardian's request and its answer: minutes, not ten."""
    run = launch(world, "late-stop", command=["sleep", "1200"], spot={"attempts": 3})
    clock, asked = world.cloud.clock, asking._asked
    stopped: list[float] = []

    def slow(guard: Any, run_id: str, attempt: Attempt) -> Attempt:
        told = asked(guard, run_id, attempt)
        marker = dataclasses.replace(_stop(MemoryStore()), run_id=run_id)
        guard.records(run_id).declare(marker)
        release(guard.session, guard.store, guard.place.group, run_id, 1)
        stopped.append(clock.now())
        return told

    monkeypatch.setattr(asking, "_asked", slow)
    first = run.launch.attempts[0].instance_id
    clock.sleep(120)
    world.host.notice(first, "terminate", clock.now() + 120)
    world.emulated.clock.call_after(120, lambda: world.emulated.machines.reclaim(first))
    clock.sleep(300)
    assert stopped
    assert len(world.host.ended) == 1  # the first; the other never came up
    assert world.billing() == []
    assert world.kept("late-stop") == []
    assert clock.now() - stopped[0] < 300


@pytest.mark.usefixtures("quick")
def test_an_extended_run_is_not_ended_by_a_client_that_waits(world: Any) -> None:
    """One terminal waits, another extends: the run goes on past the old deadline, and is paid."""
    run = launch(world, "waited", command=["sleep", "2400"], max_hours=0.5)
    other = Run(run.launch, run.plan, run._cloud)

    def extends(clock: Any) -> None:
        clock.sleep(300)
        other.extend(0.25)
        other.launch = run.launch  # as a third laptop knows it
        other.extend(0.25)

    world.emulated.clock.spawn("another terminal", extends)
    marker = run.wait()
    assert (marker.kind, marker.attempt) == ("SUCCESS", 1)
    assert run.launch.deadline == float(int(run.launch.created_at + HOUR))
    assert run.receipt().usage.hours > 2400 / HOUR
    assert run.certificate().clean


def test_looking_at_a_run_writes_nothing_of_it(world: Any) -> None:
    """A laptop that knows attempt 1 without an answer: `status` shows attempt 2, and keeps it."""
    run = launch(world, "looked-at", command=["sh", "-c", "sleep 9"])
    first, store = run.launch.attempts[0], run._records.remote
    second = dataclasses.replace(first, number=2, token="looked-at-2")
    later = run.launch.deadline + 60
    hold(
        store,
        "looked-at",
        lambda there: dataclasses.replace(with_attempt(there, second), deadline=later),  # type: ignore[arg-type]
    )
    before = world.objects()
    unheard = dataclasses.replace(first, instance_id=None, refusals=())
    stale = Run(with_attempt(run.launch, unheard), run.plan, run._cloud)
    assert stale.status().state == "running"
    assert not stale.is_over()
    assert (len(stale.launch.attempts), stale.launch.deadline) == (2, later)
    assert {k: v for k, v in world.objects().items() if "launch" in k} == {
        k: v for k, v in before.items() if "launch" in k
    }
    run.stop()


def test_a_launch_beside_another_does_not_pass_the_days_cap(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's claim came after the plan was made: refused, and nothing waits for it."""
    send = Ec2Executor._send

    def meanwhile(self: Any, payload: Any, store: Any) -> None:
        commit(store, world.cloud.clock.now(), "the-other", 0.18)
        send(self, payload, store)

    monkeypatch.setattr(Ec2Executor, "_send", meanwhile)
    options = dataclasses.replace(OPTIONS, max_usd_per_day=0.2, run_id="beside")
    job = prepare(world.job("beside", max_hours=0.25, resources=CHEAP))
    with pytest.raises(UserError, match=r"\$0.18 of other runs today"):
        start(job, world.client(), options, silent)
    assert world.kept("beside") == []
    assert world.billing("beside") == []


def test_an_extension_counts_for_the_day(world: Any) -> None:
    """What it may cost is claimed; beyond the cap it is refused, and the claim stays."""
    options = dataclasses.replace(OPTIONS, max_usd_per_day=0.2, run_id="counted")
    fields = {"command": ["sh", "-c", "sleep 9"], "max_hours": 0.25, "resources": CHEAP}
    run = start(prepare(world.job("counted", **fields)), world.client(), options, silent)
    store, at = run._records.remote, run.launch.created_at
    claimed = committed(store, at, "another")
    run.extend(0.25)
    more = committed(store, at, "another")
    assert more > claimed * 1.5
    with pytest.raises(UserError, match=r"max_usd_per_day \$0.2"):
        run.extend(9)
    assert committed(store, at, "another") == more
    run.stop()


def test_a_run_id_that_another_run_has_is_refused(world: Any, tmp_path: Any) -> None:
    """A second laptop takes nothing over by giving the same id."""
    run = launch(world, "taken-id", command=["sh", "-c", "sleep 9"])
    run.folder.rename(tmp_path / "first-laptop")
    before = world.objects()
    with pytest.raises(UserError, match="another run of this deployment has this run id"):
        launch(world, "taken-id")
    assert {k: v for k, v in world.objects().items() if "taken-id" in k and "job" in k} == {
        k: v for k, v in before.items() if "taken-id" in k and "job" in k
    }
    assert "leases/taken-id/launch.json" in world.objects()
    (tmp_path / "first-laptop").rename(run.folder)
    run.stop()
