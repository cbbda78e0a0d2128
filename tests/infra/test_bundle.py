"""The agent bundle: reproducible, small, pure Python, and enough by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from flyback.errors import UserError
from flyback.infra import bundle as bundling
from flyback.infra.bundle import MOST_BYTES, Bundle, build

# Only what is in the bundle and the standard library can be imported: no site-packages (-S), no
# environment (-I).
ONLY = "import sys; sys.path.insert(0, sys.argv.pop(1));"
AGENT = (
    f"{ONLY} import runpy; runpy.run_module('flyback.agent', run_name='__main__', alter_sys=True)"
)
CLIENTS = f"""{ONLY}
import boto3
from flyback.aws.session import Access, Session
from flyback.store.open import open_store
access = Access(region="eu-west-1", access_key="AKID", secret_key="secret")
session = Session(access)
for service in ("logs", "s3", "secretsmanager", "ssm", "sts"):
    client = session.client(service)
    print(service, client.meta.endpoint_url)
url = session.client("s3").generate_presigned_url("get_object", Params=dict(Bucket="b", Key="k"))
assert "Signature=" in url
assert open_store("s3://bucket", s3_client=session.client("s3")).url == "s3://bucket"
assert session.logs and session.parameters
import importlib.metadata
print(importlib.metadata.version("boto3"))
files = [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
assert not [file for file in files if "site-packages" in file]
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the packages that are installed here."""
    return build(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as a machine has it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(bundle.path) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _python(unpacked: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "-B", "-c", program, str(unpacked), *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=unpacked, check=False, timeout=60
    )


def test_equal_packages_give_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    """A second build, elsewhere, is the same to the last byte; its name is its hash's."""
    again = build(tmp_path)
    assert again.sha256 == bundle.sha256
    assert again.path.read_bytes() == bundle.path.read_bytes()


def test_what_is_built_is_not_built_again(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same content is found in its folder."""
    monkeypatch.setattr(bundling, "_archive", lambda _: pytest.fail("built again"))
    assert build(bundle.path.parent) == bundle


def test_it_is_small_and_pure(bundle: Bundle) -> None:
    """Under 8 MiB; nothing compiled, no path of this machine, no owner, no time."""
    assert bundle.size == bundle.path.stat().st_size <= MOST_BYTES
    with tarfile.open(bundle.path) as archive:
        entries = archive.getmembers()
        texts = [archive.extractfile(e) for e in entries if e.name.endswith(("METADATA", ".py"))]
        home = str(Path(bundling.__file__).parents[3]).encode()
        assert not [file for file in texts if file and home in file.read()]
    assert {(e.mtime, e.uid, e.gid, e.uname, e.mode) for e in entries} == {(0, 0, 0, "", 0o644)}
    suffixes = {Path(entry.name).suffix for entry in entries}
    assert not suffixes & {".so", ".pyd", ".dylib", ".pyc", ".exe"}


def test_it_holds_what_the_agent_stands_on_and_no_more(bundle: Bundle) -> None:
    """Rooms below the agent and the workloads; of botocore's services, the five that are called."""
    with tarfile.open(bundle.path) as archive:
        names = archive.getnames()
    rooms = {name.split("/")[1] for name in names if name.startswith("flyback/")}
    assert rooms == {
        *("__init__.py", "errors.py", "py.typed"),
        *("agent", "aws", "spec", "stats", "store", "workloads"),
    }
    assert "flyback/workloads/requirements.txt" in names
    services = {name.split("/")[2] for name in names if name.startswith("botocore/data/")}
    assert {name for name in services if not name.endswith(".json")} == {
        *("logs", "s3", "secretsmanager", "ssm", "sts")
    }
    assert [name for name in names if "LICENSE" in name and name.startswith("boto")]


def test_the_agent_runs_from_it_alone(unpacked: Path) -> None:
    """`python -m flyback.agent --help` with nothing else on the path."""
    done = _python(unpacked, AGENT, "--help")
    assert done.returncode == 0, done.stderr
    assert "--run-id" in done.stdout


def test_an_attempt_runs_from_it_alone(unpacked: Path, tmp_path: Path) -> None:
    """The agent from the bundle brings home a FAILURE of a run that does not exist."""
    store = (tmp_path / "store").as_uri()
    words = ["--run-id", "r", "--store", store, "--attempt", "1", "--no-power-off"]
    done = _python(unpacked, AGENT, *words, "--root", str(tmp_path / "scratch"))
    assert done.returncode == 1, done.stderr
    assert '"reason": "setup"' in (tmp_path / "store/runs/r/marker.json").read_text()


def test_its_aws_clients_work_offline(unpacked: Path) -> None:
    """Each of the five clients is made, and signs, from the descriptions in the bundle."""
    done = _python(unpacked, CLIENTS)
    assert done.returncode == 0, done.stderr
    import boto3

    assert done.stdout.splitlines() == [
        "logs https://logs.eu-west-1.amazonaws.com",
        "s3 https://s3.eu-west-1.amazonaws.com",
        "secretsmanager https://secretsmanager.eu-west-1.amazonaws.com",
        "ssm https://ssm.eu-west-1.amazonaws.com",
        "sts https://sts.eu-west-1.amazonaws.com",
        boto3.__version__,
    ]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without one of the libraries says which, and what to do."""
    monkeypatch.setattr(bundling, "_LIBRARIES", ("no_such_library",))
    with pytest.raises(UserError, match="no_such_library"):
        build(tmp_path)


def test_building_loads_no_boto3() -> None:
    """Packages are found, not imported: `infra` needs nothing of AWS in its own process."""
    program = (
        "import sys, tempfile, pathlib;"
        "from flyback.infra.bundle import build;"
        "build(pathlib.Path(tempfile.mkdtemp()));"
        "print(sorted({'boto3', 'botocore', 'flyback.agent'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
