"""The composition root: the only place that decides between real and rehearsed."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flyback.aws.ledger import FileLedger
from flyback.aws.session import Access, Session, configured_region
from flyback.errors import MissingExtraError, UserError
from flyback.spec.clock import Clock, RemoteClock, SystemClock
from flyback.spec.paths import home
from flyback.spec.settings import DEFAULT_REGION

if TYPE_CHECKING:
    from flyback.rehearsal.cloud import RehearsalCloud

__all__ = [
    "Cloud",
    "CloudName",
    "elsewhere",
    "local_home",
    "open_cloud",
    "region_of",
    "serve_rehearsal",
    "start_rehearsal",
]

CloudName = Literal["aws", "rehearsal"]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """An account to work in: only how it is reached differs between real and rehearsed.

    Args:
        name: `aws` or `rehearsal`.
        session: Typed services.
        clock: What waits wait on.
        ledger: Where create calls are written down.
        emulated: The emulated cloud, where it lives in this process.
    """

    name: CloudName
    session: Session
    clock: Clock
    ledger: FileLedger
    emulated: RehearsalCloud | None = None

    @property
    def rehearsed(self) -> bool:
        """Whether what happens here happens in an emulated account."""
        return self.name == "rehearsal"


def local_home() -> Path:
    """Folder of all local state."""
    return home(dict(os.environ))


def served_path(folder: Path) -> Path:
    """Where `flyback rehearsal serve` leaves its address."""
    return folder / "rehearsal" / "served.json"


def region_of(name: CloudName, region: str | None, profile: str | None) -> str:
    """The region that every verb means.

    Args:
        name: Which cloud.
        region: As a flag or `flyback.toml` names it; it wins.
        profile: AWS profile whose region comes next; None takes boto3's own choice. In a rehearsed
            cloud the region that is served stands in for it.
    """
    if region:
        return region
    if name == "aws":
        return configured_region(profile) or DEFAULT_REGION
    return (_served_environment() or {}).get("AWS_REGION", DEFAULT_REGION)


def open_cloud(name: CloudName, *, region: str | None = None, profile: str | None = None) -> Cloud:
    """Reach an account.

    Raises:
        UserError: a rehearsed account is asked for and none is being served.
    """
    if name == "aws":
        access = Access(region=region_of(name, region, profile), profile=profile)
        return _cloud("aws", access, SystemClock(), local_home() / "ledger")
    environment = _served_environment()
    if environment is None:
        raise UserError(
            "no emulated cloud is being served",
            where="--cloud rehearsal",
            remedy="start `flyback rehearsal serve` in another terminal, or use `flyback rehearse`",
        )
    # It does not join: a client that is killed must not hold everybody's time.
    clock = RemoteClock(environment["FLYBACK_CLOCK_URL"], f"client-{os.getpid()}")
    chosen = {**environment, "AWS_REGION": region or environment["AWS_REGION"]}
    return _emulated(chosen, clock, local_home() / "rehearsal", None)


def start_rehearsal(
    folder: Path,
    *,
    region: str,
    seed: int = 0,
    factor: float = 1.0,
    policy: Mapping[str, Any] | None = None,
) -> Cloud:
    """Start an emulated cloud in this process; close it with `cloud.emulated.stop()`.

    Args:
        folder: Its machines live below.
        region: The emulated account's.
        seed: Of everything that chance decides.
        factor: Simulated seconds per measured second of a workload.
        policy: What the client may do, as a policy document; None: what `flyback doctor --policy`
            prints for the deployment called flyback.

    Raises:
        MissingExtraError: the rehearsal extra is not installed.
    """
    try:
        from flyback.rehearsal.cloud import RehearsalCloud
        from flyback.rehearsal.strict import StrictClock
    except ImportError as error:
        raise _missing(error) from error
    emulated = RehearsalCloud(folder, region=region, seed=seed, factor=factor)
    emulated.policy = policy or emulated.policy
    emulated.start()
    client = emulated.clock.participant("client")
    client.join()
    clock = StrictClock(client, emulated)
    return _emulated(emulated.environment(), clock, folder, emulated)


def elsewhere(cloud: Cloud, region: str) -> Cloud:
    """The same account in another region, reached the same way."""
    ledger = FileLedger(cloud.ledger.path.with_name(f"{region}.jsonl"), cloud.clock)
    session = cloud.session.in_region(region, ledger)
    return dataclasses.replace(cloud, session=session, ledger=ledger)


def serve_rehearsal(
    *,
    port: int,
    region: str,
    speed: float,
    announce: Callable[[str], object],
    root: bool = False,
    ci: bool = False,
) -> None:
    """Keep an emulated cloud up until SIGINT or SIGTERM.

    Args:
        port: Loopback port; 0 takes a free one.
        region: The emulated account's.
        speed: Simulated seconds per second while no run takes part.
        announce: Given each line of the environment that points AWS clients at it.
        root: Let clients be the root user; else they may do what a deployer may.
        ci: Let deployers run `up --ci` too.

    Raises:
        MissingExtraError: the rehearsal extra is not installed.
        UserError: one is served already, or the port is taken.
    """
    try:
        from flyback.rehearsal.cloud import Served
        from flyback.rehearsal.served import serve
    except ImportError as error:
        raise _missing(error) from error
    if _served_environment() is not None:
        raise UserError(
            "an emulated cloud is being served already",
            where=str(served_path(local_home())),
            remedy="use it, or end it with Ctrl-C; FLYBACK_HOME keeps two apart",
        )
    address = served_path(local_home())
    folder = address.with_name("served")
    try:
        served = Served(port=port, flow_speed=speed, root=root, ci=ci)
        serve(folder, address, served, region=region, announce=announce)
    except OSError as error:
        raise UserError(
            f"{error}", where=f"--port {port}", remedy="choose another port; 0 takes a free one"
        ) from error


def _missing(error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"the rehearsal needs {error.name}", remedy="pip install 'flyback[rehearsal]'"
    )


def _served_environment() -> dict[str, str] | None:
    """What points clients at the served cloud; None where none answers."""
    try:
        address = json.loads(served_path(local_home()).read_text())
        environment: dict[str, str] = address["environment"]
        RemoteClock(environment["FLYBACK_CLOCK_URL"], "anybody").now()
    except (OSError, ValueError, KeyError):
        return None
    return environment


def _emulated(environment: Mapping[str, str], clock: Clock, folder: Path, emulated: Any) -> Cloud:
    access = Access(
        region=environment["AWS_REGION"],
        endpoint=environment["AWS_ENDPOINT_URL"],
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        session_token=environment.get("AWS_SESSION_TOKEN"),
    )
    return _cloud("rehearsal", access, clock, folder / "ledger", emulated)


def _cloud(
    name: CloudName, access: Access, clock: Clock, ledgers: Path, emulated: Any = None
) -> Cloud:
    ledger = FileLedger(ledgers / f"{access.region}.jsonl", clock)
    return Cloud(
        name=name,
        session=Session(access, ledger),
        clock=clock,
        ledger=ledger,
        emulated=emulated,
    )
