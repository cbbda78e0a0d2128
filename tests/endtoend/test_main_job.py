"""The main job: out to the emulated cloud, home again, nothing left."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, deploy, remove, start
from flyback.api.wiring import Cloud, local_home
from flyback.launch.deployment import find
from flyback.launch.progress import silent
from flyback.store.file import FileStore
from flyback.store.open import open_store

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "spectral.yaml"
OPTIONS = Options(cloud="rehearsal")


@pytest.mark.proof
def test_proof_main_job(flyback: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`flyback rehearse … --smoke --json` as a user calls it: success, clean, within a minute."""
    began = time.monotonic()
    done = flyback("rehearse", EXAMPLE, "--smoke", "--json")
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["marker"] == "SUCCESS"
    assert [result["status"] for result in told["results"]] == ["ok"] * len(told["results"])
    assert told["results"]
    assert told["instances_left"] == 0
    assert 0 < told["receipt_usd"] < 0.20
    print(
        f"PROOF main-job seconds={seconds:.1f} leftovers={len(told['leftovers'])} "
        f"quote_usd={told['quote_usd']:.4f} receipt_usd={told['receipt_usd']:.4f}"
    )
    assert told["leftovers"] == []
    assert seconds <= 60


@pytest.mark.proof
def test_proof_idempotent_up(cloud: Cloud) -> None:
    """A second `up` makes no mutating call, and changes nothing in the whole account."""
    assert cloud.emulated is not None
    deploy(cloud, OPTIONS, silent)
    before, calls = cloud.emulated.inventory(), len(cloud.emulated.journal.mutating())
    assert calls > 0
    deploy(cloud, OPTIONS, silent)
    mutating = len(cloud.emulated.journal.mutating()) - calls
    print(f"PROOF idempotent-up mutating_calls={mutating}")
    assert mutating == 0
    assert cloud.emulated.inventory() == before


def test_folder_and_bucket_hold_the_same_files(deployed: Cloud) -> None:
    """After a run, disk and prefix agree file by file and byte by byte; logs agree too."""
    run = start(prepare(EXAMPLE, preset="smoke"), deployed, OPTIONS, silent)
    marker = run.wait()
    assert marker.kind == "SUCCESS", marker
    home = FileStore(local_home())
    remote = open_store(
        find(deployed.session, "flyback").store_url,
        s3_client=deployed.emulated.clients("s3", "us-east-1"),
    )
    prefix = f"runs/{run.run_id}/"
    here = {item.key: hashlib.sha256(home.get(item.key)).hexdigest() for item in home.list(prefix)}
    there = {
        item.key: hashlib.sha256(remote.get(item.key)).hexdigest() for item in remote.list(prefix)
    }
    assert here == there
    names = {key.removeprefix(prefix) for key in here}
    assert {
        "job.json",
        "plan.json",
        "launch.json",
        "results.jsonl",
        "receipt.json",
        "certificate.json",
        "marker.json",
        "attempts/1/events.jsonl",
        "attempts/1/log.txt",
        "attempts/1/marker.json",
        "attempts/1/results.jsonl",
        "attempts/1/heartbeat.json",
    } <= names
    assert any(name.startswith("attempts/1/samples/") for name in names)
    logged = list(run.logs())
    written = (run.folder / "attempts" / "1" / "log.txt").read_text().splitlines()
    assert [line for line in logged if line.strip()] == [line for line in written if line.strip()]


def test_down_leaves_the_account_as_it_was(cloud: Cloud) -> None:
    """Inventories before `up` and after `down` are equal, runs and objects in between included."""
    assert cloud.emulated is not None
    before = cloud.emulated.inventory()
    deploy(cloud, OPTIONS, silent)
    run = start(prepare(EXAMPLE, preset="smoke"), cloud, OPTIONS, silent)
    run.wait()
    certificate = remove(cloud, OPTIONS, keep_data=False, report=silent)
    assert certificate.clean
    assert certificate.leftovers == ()
    assert any("AWSServiceRoleForEC2Spot" in text for text in certificate.exceptions)
    after = cloud.emulated.inventory()
    assert _without_service_roles(after) == _without_service_roles(before)


def _without_service_roles(inventory: object) -> object:
    """The one exception that the certificate states."""
    document = json.loads(inventory) if isinstance(inventory, str) else dict(inventory)  # type: ignore[call-overload]  # either form is canonical JSON
    return {key: value for key, value in document.items() if "service" not in key}


def test_down_can_keep_the_data(cloud: Cloud) -> None:
    """`--keep-data` leaves the bucket that holds objects, says so, and removes all else."""
    deploy(cloud, OPTIONS, silent)
    bucket = find(cloud.session, "flyback").bucket
    cloud.emulated.clients("s3", "us-east-1").put_object(
        Bucket=bucket, Key="runs/x/result", Body=b"1"
    )
    certificate = remove(cloud, OPTIONS, keep_data=True, report=silent)
    assert certificate.clean
    assert f"kept on request: {bucket}" in certificate.exceptions
