"""The emulated cloud as one thing: start it, point clients at it, stop it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.rehearsal.call import Call, Gap
from flyback.rehearsal.clock import VirtualClock
from flyback.rehearsal.ec2 import Capacity, Ec2Gap, Machines
from flyback.rehearsal.events import EventBus
from flyback.rehearsal.front import Front, Middleware
from flyback.rehearsal.functions import Invocations, Registry, Workshop
from flyback.rehearsal.iam import Judge
from flyback.rehearsal.identities import ROOT, Identities, Signer, deployer
from flyback.rehearsal.inventory import take_inventory
from flyback.rehearsal.market import (
    Conditions,
    PricingGap,
    Quotas,
    QuotasGap,
    Reclaims,
    SpotHistoryGap,
    SpotMarket,
)
from flyback.rehearsal.middleware import Authorizer, Faults, Gaps, Journal, Moto
from flyback.rehearsal.moto_state import ACCOUNT, fresh, simulated_time
from flyback.rehearsal.parameters import SsmGap
from flyback.rehearsal.permissions import IamGap, StsGap
from flyback.rehearsal.reach import check_reach
from flyback.rehearsal.schedules import Timetable
from flyback.rehearsal.server import Server
from flyback.rehearsal.tagging import TaggingGap
from flyback.rehearsal.transport import Clients
from flyback.rehearsal.web_identity import Issuers
from flyback.spec.settings import DEFAULT_NAME, DEFAULT_REGION

__all__ = ["START", "RehearsalCloud", "Served"]

START = 1_767_614_400.0  # Monday 2026-01-05 12:00 UTC: a rehearsal repeats itself, dates included

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Served:
    """How a cloud is served to other programs.

    Args:
        port: To listen on; 0 takes a free one.
        flow_speed: Simulated seconds per real second while nobody takes part in the clock; None
            lets time stand still then.
        root: Whether its clients are the root user, not a deployer.
        ci: Whether a deployer may run `up --ci` too.
    """

    port: int = 0
    flow_speed: float | None = None
    root: bool = False
    ci: bool = False


class RehearsalCloud:
    """An emulated AWS account on a loopback port.

    A context manager; or call `start` and `stop`. moto keeps its state per process, so a process
    holds one at a time.

    Args:
        folder: Its machines live below.
        region: Where the account works; other regions answer too.
        seed: Of identifiers and of everything else that chance decides.
        start: Simulated time at the beginning, in seconds since the epoch.
        factor: Simulated seconds per measured second of a workload.
        served: How it is served to other programs.

    Attributes:
        conditions: How its market behaves; to be set before `start`.
        policy: What the client may do, as a policy document, to be set before `start`: at first
            what `flyback doctor --policy` prints for the deployment called flyback; None makes it
            the root user.
        clock: The simulated time.
        journal: Every request.
        judge: Every question to IAM, and its answer.
        client: Whose keys `environment` holds.
        issuers: Identity providers outside the account, whose tokens its roles may trust.
        faults: Failures to act out.
        capacity: Which machines are refused by name, on top of the market.
        market: Which machines are to be had otherwise, and for how much.
        quotas: What the account may run.
        reclaims: When EC2 takes a spot machine back.
        machines: Their lives; `power_off` is what an operating system calls.
        registry: Lambda's functions, their resource policies included.
        tagging: What carries which tags.
        bus: Events and who is told of them.
        timetable: Schedules and when they fire.
        functions: Lambda's invocations, past and to come.
        workshop: What functions run in.
        clients: boto3 clients of the root user in this process: `clients(service, region, via)`.
        records: What is kept of each machine, by instance id.
        boot_log: What the scripts of a machine have printed.
        protection: What keeps its machines from this computer's files, as a sentence.
        endpoint: URL that AWS clients are pointed at.
        middlewares: What every request passes through, outermost first.
    """

    conditions: Conditions
    clock: VirtualClock
    journal: Journal
    judge: Judge
    client: Signer
    issuers: Issuers
    faults: Faults
    capacity: Capacity
    market: SpotMarket
    quotas: Quotas
    reclaims: Reclaims
    machines: Machines
    registry: Registry
    tagging: TaggingGap
    bus: EventBus
    timetable: Timetable
    functions: Invocations
    workshop: Workshop
    clients: Clients
    records: Callable[[], Mapping[str, Mapping[str, Any]]]
    boot_log: Callable[[str], str]
    protection: str
    endpoint: str
    middlewares: tuple[Middleware, ...]

    def __init__(
        self,
        folder: Path,
        *,
        region: str = DEFAULT_REGION,
        seed: int = 0,
        start: float = START,
        factor: float = 1.0,
        served: Served | None = None,
    ) -> None:
        self.region = region
        self._folder = folder
        self._seed = seed
        self._start = start
        self._factor = factor
        self._served = served or Served()
        own = Place(name=DEFAULT_NAME, account=ACCOUNT, region=region)
        self.policy: Mapping[str, Any] | None = deployer_policy(own)
        self.client = ROOT
        self.conditions = Conditions()
        self._running: contextlib.ExitStack | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start with an empty account.

        Raises:
            RuntimeError: this process holds another emulated cloud.
            OSError: the port is taken.
        """
        if not _ONE_AT_A_TIME.acquire(blocking=False):
            raise RuntimeError("this process holds an emulated cloud already; stop it first")
        with contextlib.ExitStack() as stack:
            stack.callback(_ONE_AT_A_TIME.release)
            self._build(stack)
            self._running = stack.pop_all()

    def stop(self) -> None:
        """End its machines, close its ports, forget its state; idempotent."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def environment(self) -> dict[str, str]:
        """Environment that points any AWS client at this cloud as its client."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.client.access_key,
            "AWS_SECRET_ACCESS_KEY": self.client.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "FLYBACK_CLOCK_URL": f"{self.endpoint}/_flyback/clock",
        }

    def inventory(self) -> str:
        """All that the account holds, as canonical JSON: equal accounts give equal texts."""
        return take_inventory(self.clients, (self.region,))

    def _build(self, stack: contextlib.ExitStack) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.clock = VirtualClock(self._start, self._factor, self._served.flow_speed)
        stack.callback(self.clock.close)
        stack.enter_context(simulated_time(self.clock.now))
        fresh(self._seed)
        stack.callback(fresh, self._seed)
        identities = Identities(self.clock.now)
        self.journal = Journal(self.clock.now)
        self.judge = Judge(self.clock.now)
        self.issuers = Issuers(self.clock.now)
        self.faults = Faults(self._seed)
        self.capacity = Capacity()
        self.machines = Machines(self.clock)
        self._open_market()
        gaps = Gaps(self._gaps(), self._observe)
        self.middlewares = (
            self.journal,
            Authorizer(identities, self.judge, self.issuers),
            self.faults,
            gaps,
            Moto(),
        )
        front = Front(
            self.middlewares,
            identities,
            self.clock.now,
            routes={
                "clock": self._serve_clock,
                "faults": self._serve_faults,
                "health": lambda *_: {"status": "ok", "now": self.clock.now()},
                "journal": self._serve_journal,
            },
            reach=check_reach,
        )
        server = Server(front, self._served.port)
        stack.callback(server.close)
        stack.callback(self.clock.close)  # first, so that no request waits on it for ever
        self.endpoint = server.url
        self.clients = Clients(front.respond, server.url)
        stack.callback(self.clients.close)
        gaps.add(*self._wake(stack))
        if self.policy is not None:
            self.client = deployer(self.clients("iam", self.region, "rehearsal"), self.policy)
        self._attach_machines(stack)

    def _observe(self, call: Call) -> None:
        self.tagging.observe(call)

    def _wake(self, stack: contextlib.ExitStack) -> tuple[Gap, ...]:
        """What acts by itself, as roles of the account: functions, schedules, events."""
        from flyback.rehearsal.automation import automate

        parts = automate(self.clients, self.clock, self.endpoint, self._folder, self._seed)
        stack.callback(parts.workshop.close)
        self.registry, self.tagging = parts.registry, parts.tagging
        self.judge.resource_policies["lambda"] = parts.registry.policy_of
        self.judge.resource_tags.update(parts.tags)
        self.judge.kept_policies = parts.registry.policies
        self.bus, self.timetable = parts.bus, parts.timetable
        self.functions, self.workshop = parts.functions, parts.workshop
        parts.tell_of(self.machines)
        return parts.gaps

    def _open_market(self) -> None:
        self.quotas = Quotas(self.clock.now, self.conditions)
        self.market = SpotMarket(
            self.clock.now,
            self._seed,
            capacity=self.capacity,
            quotas=self.quotas,
            conditions=self.conditions,
        )
        self.reclaims = Reclaims(
            self.clock, self.machines, self._seed, self.conditions, self.market.catalogue
        )
        self.machines.launched = self.reclaims.watch

    def _gaps(self) -> tuple[Gap, ...]:
        from flyback.rehearsal.cloudformation import CloudFormationGap

        stacks = CloudFormationGap(
            lambda service, region: self.clients(service, region, "cloudformation"),
            self.clock,
            self.judge.check_handler,
        )
        self.judge.resource_tags["cloudformation"] = stacks.tags_of
        return (
            Ec2Gap(self.machines, self.market),
            SpotHistoryGap(self.market, self.clock.now),
            QuotasGap(self.quotas),
            PricingGap(self.market.catalogue),
            SsmGap(),
            StsGap(self.judge.session),
            IamGap(),
            stacks,
        )

    def _attach_machines(self, stack: contextlib.ExitStack) -> None:
        from flyback.rehearsal.simulator import InstanceSimulator, Options

        simulator = InstanceSimulator(
            self.endpoint,
            self.clock,
            self._folder / "machines",
            self.machines.power_off,
            Options(seed=self._seed),
            lambda service, region: self.clients(service, region, "ec2"),
        )
        stack.callback(simulator.close)
        simulator.prepare()  # what is missing is said now, not when the first machine boots
        self.machines.host = simulator
        self.records, self.boot_log = simulator.records, simulator.boot_log
        self.protection = str(simulator.protection)

    def _serve_clock(self, method: str, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        del method
        return self.clock.serve(verb, dict(body))

    def _serve_faults(self, method: str, rest: str, body: Mapping[str, Any]) -> dict[str, Any]:
        del rest
        if method == "DELETE":
            self.faults.clear()
        return self.faults.serve(body)

    def _serve_journal(self, method: str, rest: str, body: Mapping[str, Any]) -> list[Any]:
        from flyback.spec.codec import encode

        del method, rest
        return [encode(entry) for entry in self.journal.entries(after=int(body.get("after", 0)))]
