"""Commands that are cut off at their k-th call, in one emulated cloud after the other."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import cut_clients
import cut_commands
import pytest
import rooms
from copies import Copies

from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.errors import FlybackError
from flyback.rehearsal.inventory import take_inventory
from flyback.rehearsal.moto_state import ACCOUNT
from flyback.spec.codec import dumps
from flyback.spec.event import Marker

_LINES, _LINE = 5, 160  # how much a failing case says
_PAUSES_S = (0.0, 60.0, 600.0)  # until somebody runs the command again
_CHANCE = re.compile(
    r"\b[a-z]+(-[a-z]+)*-[0-9a-f]{8,}\b"  # EC2's identifiers
    r"|\b(r-|fleet-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"
    r"|\b(AROA|AIPA|ASIA|AKIA)[0-9A-Z]{12,}\b"
    r'|(?<="creationTime": )\d+'
    r'|(?<="InstanceProfileId": ")[a-z0-9]+'
    r'|\\\\"[0-9a-f]{32}\\\\"'  # entity tags
    r"|\b(ip-|ec2-)?\d+[.-]\d+[.-]\d+[.-]\d+\b(?!/)"  # addresses, but not networks
    r"|[-_][0-9A-Za-z]{12}\b"  # what CloudFormation appends to names
)


class ScriptedHost:
    """Machines that do what an agent does, seen from outside, without a process.

    A minute after boot the files of a successful run are in the bucket and the machine is off.
    """

    def __init__(self, cloud: Cloud) -> None:
        assert cloud.emulated is not None
        self._cloud = cloud.emulated

    def boot(self, instance_id: str, region: str) -> None:
        self._cloud.clock.call_after(60, lambda: self._work(instance_id, region))

    def halt(self, instance_id: str) -> None:
        """Nothing runs."""

    def _work(self, instance_id: str, region: str) -> None:
        clients, now = self._cloud.clients, self._cloud.clock.now()
        ec2, s3 = clients("ec2", region, "machine"), clients("s3", region, "machine")
        found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]
        tags = {item["Key"]: item["Value"] for item in found["Instances"][0]["Tags"]}
        run_id, bucket = tags["flyback:run-id"], tags["flyback:store"].removeprefix("s3://")
        marker = Marker(
            run_id=run_id,
            attempt=int(tags["flyback:attempt"]),
            kind="SUCCESS",
            exit_code=0,
            reason="ok",
            log_tail="",
            at=now,
        )
        attempt = f"runs/{run_id}/attempts/{marker.attempt}"
        for key, text in (
            (f"{attempt}/log.txt", "done\n"),
            (f"{attempt}/marker.json", dumps(marker)),
            (f"runs/{run_id}/marker.json", dumps(marker)),
        ):
            s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
        self._cloud.machines.power_off(instance_id)


@contextmanager
def emulated(folder: Path) -> Iterator[Cloud]:
    """A cloud with nothing in it, whose machines are scripted."""
    regions = (cut_commands.HERE, cut_commands.THERE)
    places = [Place(name="flyback", account=ACCOUNT, region=region) for region in regions]
    cloud = start_rehearsal(folder, region=cut_commands.HERE, policy=deployer_policy(*places))
    assert cloud.emulated is not None
    cloud.emulated.machines.host = ScriptedHost(cloud)
    # the guardian too, without a process: a copy has no server that one could reach
    cloud.emulated.functions._workshop = rooms.Rooms(cloud, cloud.emulated.workshop)
    try:
        yield cloud
    finally:
        cloud.emulated.stop()


def warm(cloud: Cloud) -> None:
    """Make the clients that every copy of a cloud would make for itself."""
    assert cloud.emulated is not None
    clients = cloud.emulated.clients
    cut_clients.line_of(cloud)
    take_inventory(clients, (cut_commands.HERE, cut_commands.THERE))
    for service in ("ec2", "ecr", "iam", "logs", "s3"):
        clients(service, cut_commands.HERE, "cloudformation")
    for service in ("ec2", "s3"):
        clients(service, cut_commands.HERE, "machine")


def canonical(inventory: str) -> dict[str, list[str]]:
    """An inventory without what chance and time decide: kind → its things, as sorted texts."""
    found = {}
    for kind, things in json.loads(inventory).items():
        texts = [f"{key} {_plain(thing)}" for key, thing in things.items()]
        found[kind] = sorted(_anonymous(text) for text in texts)
    return found


def _plain(thing: Any) -> str:
    if isinstance(thing, dict) and "Objects" in thing:  # how often a file was written is no matter
        kept = ("Objects", "DeleteMarkers")
        names = {kind: sorted({name.split(" ")[0] for name in thing[kind]}) for kind in kept}
        thing = {**thing, **names}
    return json.dumps(thing, sort_keys=True)


def difference(expected: dict[str, list[str]], found: dict[str, list[str]]) -> str:
    """Only what differs, a line each, cut to where it does; empty where nothing does."""
    told = []
    for kind in sorted(expected.keys() | found.keys()):
        wanted, there = Counter(expected.get(kind, [])), Counter(found.get(kind, []))
        missing, more = sorted((wanted - there).elements()), sorted((there - wanted).elements())
        while missing and more:  # the same thing, changed
            told.append(f"{kind}: {_changed(missing.pop(0), more.pop(0))}")
        told += [f"{kind}: missing {text[:_LINE]}" for text in missing]
        told += [f"{kind}: more {text[:_LINE]}" for text in more]
    more_lines = [f"… and {len(told) - _LINES} more"] if len(told) > _LINES else []
    return "\n".join(told[:_LINES] + more_lines)


def _changed(wanted: str, found: str) -> str:
    before, after = Counter(wanted.split()), Counter(found.split())
    without = " ".join((before - after).elements())[:_LINE]
    more = " ".join((after - before).elements())[:_LINE]
    name = wanted.split(maxsplit=1)[0]
    return f"{name} without {without or 'nothing'}, and with {more or 'nothing else'}"


def _anonymous(text: str) -> str:
    return _CHANCE.sub("#", text)


@dataclass(frozen=True)
class Case:
    """The command, how its call `k` fails, and the pause before it is run again."""

    command: Any
    mode: str
    k: int

    @property
    def pause_s(self) -> float:
        return _PAUSES_S[self.k % len(_PAUSES_S)]


class Bench:
    """Runs cases, each in a process of its own that begins as a copy of this one.

    A cloud is brought to where a command begins once, and copied for each of its cases: that is
    exact, and spares all of them the way there.

    Args:
        folder: For clouds and the job.
    """

    modes = cut_clients.MODES
    canonical = staticmethod(canonical)
    difference = staticmethod(difference)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clouds = 0
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "job.sh").write_text("echo done\n")
        self.job = folder / "job.json"
        document = {"name": "cut", "workdir": "work", "command": ["sh", "job.sh"], "engine": "ec2"}
        self.job.write_text(json.dumps(document))
        self._ends: dict[str, tuple[dict[int, tuple[str, ...]], dict[str, list[str]]]] = {}

    def calls(self, command: Any) -> dict[int, tuple[str, ...]]:
        """The calls that the command makes where nothing fails, and how each may fail."""
        return self._undisturbed(command)[0]

    def cases(self) -> list[Case]:
        """Each command, each of its calls, each way to fail that differs from the others."""
        return [case for command in cut_commands.COMMANDS for case in self._cases(command)]

    def cases_of(self, does: str) -> list[Case]:
        """The cases of a command in an account with nothing in it."""
        return self._cases(cut_commands.Command(does, does))

    def _cases(self, command: Any) -> list[Case]:
        calls = self.calls(command)
        return [Case(command, mode, k) for k, modes in calls.items() for mode in modes]

    @staticmethod
    def client(mode: str, k: int) -> Any:
        """A process whose call `k` fails."""
        return cut_clients.Client(mode, k)

    def not_converging(self, cases: Sequence[Case]) -> list[str]:
        """What is wrong with each case whose end is not the undisturbed one."""
        told = []
        for command in dict.fromkeys(case.command for case in cases):
            chosen = [case for case in cases if case.command == command]
            expected = self._undisturbed(command)[1]
            with self.cloud_after(*command.before) as cloud:
                warm(cloud)
                copies = Copies(cloud)
                ended = copies.each(chosen, lambda case: self._differs(case, expected, copies))  # noqa: B023  # done within
                told += [f"{case}: {text}" for case, text in ended if text]
        return told

    def _differs(self, case: Case, expected: dict[str, list[str]], copies: Any) -> str:
        """Cut the command off, run it again; empty, or how the end differs."""
        cloud = copies.cloud
        assert cloud.emulated is not None
        client = cut_clients.Client(case.mode, case.k)
        with suppress(cut_clients.Killed, cut_clients.KilledThread, FlybackError):
            cut_commands.perform(case.command.does, client.enter(cloud), self.job)
        if not client.cut_off:
            return f"nothing was cut off: it came to {client.calls} calls"
        cloud.emulated.faults.clear()
        cloud.clock.sleep(case.pause_s)
        try:
            cut_commands.perform(case.command.does, cut_clients.Client().enter(cloud), self.job)
        except FlybackError as error:
            return f"{error}"
        found = self._end(cloud)
        return difference(expected, found)

    @contextmanager
    def cloud_after(self, *commands: str) -> Iterator[Cloud]:
        """A cloud in which these commands went well."""
        with self._cloud() as cloud:
            for name in commands:
                cut_commands.perform(name, cut_clients.Client().enter(cloud), self.job)
            yield cloud

    def _undisturbed(self, command: Any) -> tuple[dict[int, tuple[str, ...]], dict[str, list[str]]]:
        if command.name not in self._ends:
            with self.cloud_after(*command.before) as cloud:
                client = cut_clients.Client()
                cut_commands.perform(command.does, client.enter(cloud), self.job)
                self._ends[command.name] = (client.telling(command.alike), self._end(cloud))
        return self._ends[command.name]

    @contextmanager
    def _cloud(self) -> Iterator[Cloud]:
        self._clouds += 1
        for folder in ("runs", "ledger"):
            shutil.rmtree(local_home() / folder, ignore_errors=True)
        with emulated(local_home() / "rehearsal" / f"cloud-{self._clouds}") as cloud:
            yield cloud

    @staticmethod
    def _end(cloud: Cloud) -> dict[str, list[str]]:
        assert cloud.emulated is not None
        cloud.clock.sleep(120)  # a machine that somebody launched in vain would show by now
        clients, machines = cloud.emulated.clients, []
        for region in (cut_commands.HERE, cut_commands.THERE):
            made = clients("ec2", region, "inventory").describe_instances()
            machines += [item for group in made["Reservations"] for item in group["Instances"]]
        states = sorted(item["State"]["Name"] for item in machines)
        return {
            **canonical(take_inventory(clients, (cut_commands.HERE, cut_commands.THERE))),
            "machines ever": states,
        }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Runs cases; botocore's pauses between attempts take no time."""
    still = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", still)
    return Bench(tmp_path / "bench")
