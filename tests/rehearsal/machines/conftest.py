"""An emulated cloud that is just moto and the clock, and machines on it."""

from __future__ import annotations

import functools
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from flyback.rehearsal.clock import ClockError, VirtualClock
from flyback.rehearsal.image import Image, prepare
from flyback.rehearsal.isolation import available
from flyback.rehearsal.simulator import InstanceSimulator, Options

START = 1_700_000_000.0
REGION = "us-east-1"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The usual machine image, made once."""
    return prepare(tmp_path_factory.mktemp("flyback-home") / "images")


@pytest.fixture
def fenced() -> None:
    """The kernel's fence: a test that is about it must not pass by being skipped."""
    if not available().isolated:
        pytest.fail(f"this test needs Landlock in the kernel: {available()}")


@dataclass
class Moto:
    """moto behind HTTP, with the clock served beside it."""

    url: str
    clock: VirtualClock
    client: Callable[..., Any]
    ended: list[tuple[str, float]] = field(default_factory=list)


class Served:
    """The WSGI application: the clock's verbs, then moto."""

    def __init__(self, clock: VirtualClock) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._clock = clock
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        if not path.startswith("/_flyback/clock/"):
            return self._moto(environ, start)
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        try:
            answer, status = self._clock.serve(path.rpartition("/")[2], body), "200 OK"
        except ClockError as error:
            answer, status = {"error": str(error)}, "503 Service Unavailable"
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


@pytest.fixture(scope="session")
def served_moto() -> Iterator[tuple[str, Any]]:
    """One server for the session; each test gives it its clock."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any, **__: Any) -> None:
            """Nothing."""

    slot: dict[str, Any] = {}
    server = make_server(
        "127.0.0.1",
        0,
        lambda environ, start: slot["application"](environ, start),  # noqa: PLW0108  # changes by test
        threaded=True,
        request_handler=Quiet,
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", slot
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def clients(served_moto: tuple[str, Any]) -> Callable[..., Any]:
    """boto3 clients of the server, each made once."""

    @functools.cache
    def client(service: str, region: str = REGION) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=region,
            endpoint_url=served_moto[0],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}),
        )

    return client


@pytest.fixture
def moto_cloud(served_moto: tuple[str, Any], clients: Callable[..., Any]) -> Iterator[Moto]:
    from moto.core.models import reset_model_data

    url, slot = served_moto
    clock = VirtualClock(START)
    slot["application"] = Served(clock)
    reset_model_data()
    yield Moto(url, clock, clients)
    clock.close()


@dataclass
class Machines:
    """Launches machines and looks at them."""

    cloud: Moto
    simulator: InstanceSimulator
    folder: Path
    image: Image

    def launch(self, script: str, **overrides: Any) -> str:
        """An instance with this user-data; it boots once somebody waits on the clock."""
        options: dict[str, Any] = {
            "ImageId": "ami-12c6146b",  # one that moto knows
            "InstanceType": "g4dn.xlarge",
            "UserData": script,
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "TagSpecifications": [
                {
                    "ResourceType": "instance",
                    "Tags": [
                        {"Key": "flyback:run-id", "Value": "spectral-1"},
                        {"Key": "Owner", "Value": "ada <ada@example.com>"},
                    ],
                }
            ],
        }
        answer = self.cloud.client("ec2").run_instances(
            MinCount=1, MaxCount=1, **{**options, **overrides}
        )
        instance = str(answer["Instances"][0]["InstanceId"])
        self.simulator.boot(instance, REGION)
        return instance

    def run(self, script: str, seconds: float = 600.0, **overrides: Any) -> str:
        """Launch one, and let simulated time pass."""
        instance = self.launch(script, **overrides)
        self.cloud.clock.participant("client").sleep(seconds)
        return instance

    def state(self, instance: str) -> str:
        found = self.cloud.client("ec2").describe_instances(InstanceIds=[instance])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    def root(self, instance: str) -> Path:
        return self.folder / instance / "root"

    def log(self, instance: str) -> str:
        return (self.root(instance) / "var/log/cloud-init-output.log").read_text()

    def shims(self, instance: str) -> list[Any]:
        path = self.folder / instance / "shims.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def role(self, name: str = "machine") -> str:
        """An instance profile whose role EC2 may assume; its name."""
        iam = self.cloud.client("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "ec2.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=json.dumps(trust))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=f"{name}-role")
        return name


@pytest.fixture
def machines(moto_cloud: Moto, image: Image, tmp_path: Path) -> Iterator[Machines]:
    """Machines on moto; what powers off is terminated."""

    def power_off(instance: str) -> None:
        moto_cloud.ended.append((instance, moto_cloud.clock.now() - START))
        moto_cloud.client("ec2").terminate_instances(InstanceIds=[instance])

    folder = tmp_path / "machines"
    moto_cloud.clock.join("client")
    simulator = InstanceSimulator(
        moto_cloud.url,
        moto_cloud.clock,
        folder,
        power_off,
        Options(image=image, seed=7),
        moto_cloud.client,
    )
    yield Machines(moto_cloud, simulator, folder, image)
    simulator.close()


@pytest.fixture(scope="session")
def snapshots() -> Any:
    """The module `snapshots`: states of all that lies below some folders, and what changed."""
    path = Path(__file__).with_name("snapshots.py")
    spec = importlib.util.spec_from_file_location("snapshots", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
