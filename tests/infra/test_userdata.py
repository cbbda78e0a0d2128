"""The constant user-data: it switches the machine off, whatever else it manages to do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import runpy
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from flyback.infra import userdata
from flyback.spec.codec import loads
from flyback.spec.event import Marker

AGENT = """
import json, os, sys
with open(os.environ["FLYBACK_ROOT"] + "/agent.json", "w") as file:
    json.dump({"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}, file)
print("the agent was here")
sys.exit(%d)
"""


def _bundle(code: int = 0) -> bytes:
    """An agent bundle whose agent says how it was called and ends with `code`."""
    files = {
        "flyback/__init__.py": "",
        "flyback/agent/__init__.py": "",
        "flyback/agent/__main__.py": AGENT % code,
    }
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as compressed, tarfile.open(fileobj=compressed, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _offer(boot: Any, data: bytes, sha256: str | None = None) -> None:
    """Put a bundle into the bucket and name it in the machine's tags."""
    sha256 = sha256 or hashlib.sha256(data).hexdigest()
    boot.around.metadata["tags/instance/flyback:bundle"] = sha256
    boot.around.objects[f"/the-bucket/bundles/{sha256}.tar.gz"] = data


def test_it_is_a_small_valid_script(tmp_path: Path) -> None:
    """Bash parses it, Python compiles what it holds, EC2 takes its size."""
    script = tmp_path / "user-data"
    script.write_text(userdata.script())
    subprocess.run(["bash", "-n", str(script)], check=True)
    compile(userdata.boot_program(), "boot.py", "exec")
    assert len(userdata.script().encode()) <= userdata.MOST_BYTES


def test_the_first_command_is_the_shutdown_timer() -> None:
    """Before anything that can fail, the machine is told to go off."""
    lines = [line for line in userdata.script().splitlines() if not line.startswith("#")]
    assert lines[0] == "shutdown -P +1440"


def test_a_first_boot_becomes_the_agent(boot: Any) -> None:
    """Ceiling, deadline, verified bundle, agent with its words and environment; then off."""
    _offer(boot, _bundle())
    assert boot.run() == 0
    calls = [call for call in boot.calls() if call.startswith("shutdown")]
    assert calls == ["shutdown -P +1440", "shutdown -P +60", "shutdown -h now"]
    assert boot.calls()[0] == "shutdown -P +1440"
    (service,) = [call for call in boot.calls() if call.startswith("systemd-run")]
    # asked to end before the network goes, alone, with time for the job's grace and the uploads
    for word in ("--wait", "KillMode=mixed", "TimeoutStopSec=150", "After=network-online.target"):
        assert word in service
    agent = json.loads((boot.disk / "agent.json").read_text())
    home = f"{boot.disk}/opt/flyback"
    assert agent["argv"] == [
        *("--run-id", "run-1", "--store", "s3://the-bucket", "--attempt", "2"),
        *("--root", f"{home}/runs", "--boot-log", f"{boot.disk}/var/log/flyback-boot.log"),
    ]
    assert agent["cwd"] == home
    assert agent["environ"]["PYTHONPATH"] == f"{home}/bundle"
    assert agent["environ"]["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert boot.markers() == [None, None]
    assert "the agent was here" in boot.log()


def test_a_reboot_arms_the_same_deadline_again(boot: Any) -> None:
    """The deadline is a point in time on the disk: the script of every boot arms what is left."""
    _offer(boot, _bundle())
    boot.run()
    (boot.disk / "calls").unlink()
    boot.around.now += 1830
    script = boot.disk / "var" / "lib" / "cloud" / "scripts" / "per-boot" / "flyback-deadline"
    assert boot.execute(str(script)) == 0
    assert [call for call in boot.calls() if call.startswith("shutdown")] == [
        "shutdown -P +1440",
        "shutdown -P +29",
    ]
    boot.around.now += 3600
    boot.execute(str(script))
    assert boot.calls()[-1] == "shutdown -h now"


def test_a_timer_that_can_not_be_set_is_said(boot: Any) -> None:
    """The agent asks again for a moved deadline until the boot program ends well."""
    _offer(boot, _bundle())
    boot.run()
    moved = str(int(boot.around.now) + 7200)
    boot.around.metadata["tags/instance/flyback:deadline"] = moved
    program = boot.disk / "opt" / "flyback" / "boot.py"
    assert boot.execute("python3", str(program), "lease") == 0
    assert boot.calls()[-1] == "shutdown -P +120"
    assert (boot.disk / "opt" / "flyback" / "deadline").read_text() == moved
    boot.program("shutdown", "exit 1")
    assert boot.execute("python3", str(program), "lease") == 1


def test_a_corrupt_bundle_is_never_run(boot: Any) -> None:
    """Another hash: FAILURE(bundle) for attempt and run, the log's tail in it, machine off."""
    _offer(boot, _bundle(), sha256="0" * 64)
    boot.run()
    attempt, run = boot.markers()
    assert attempt == run
    marker = loads(Marker, json.dumps(attempt))
    assert (marker.run_id, marker.attempt, marker.kind) == ("run-1", 2, "FAILURE")
    assert (marker.reason, marker.exit_code) == ("bundle", None)
    assert f"not to {'0' * 64}" in marker.log_tail
    assert not (boot.disk / "agent.json").exists()
    assert boot.calls()[-1] == "shutdown -h now"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("tags/instance/flyback:bundle", "bundle"), ("tags/instance/flyback:deadline", "setup")],
)
def test_a_machine_without_its_tags_says_so(boot: Any, missing: str, reason: str) -> None:
    """A tag that never appears is waited for a while, then told in the marker."""
    _offer(boot, _bundle())
    del boot.around.metadata[missing]
    boot.run()
    assert boot.markers()[1]["reason"] == reason
    assert "HTTP Error 404" in boot.markers()[1]["log_tail"]
    assert boot.around.waits[:3] == [1, 2, 4]
    assert boot.calls()[-1] == "shutdown -h now"


def test_a_machine_that_knows_nothing_still_goes_off(boot: Any) -> None:
    """No run id, no marker; the machine goes off all the same."""
    boot.around.metadata.clear()
    assert boot.run() != 0
    assert boot.markers() == [None, None]
    assert boot.calls()[0] == "shutdown -P +1440"
    assert boot.calls()[-1] == "shutdown -h now"


def test_a_store_that_fails_twice_is_asked_again(boot: Any) -> None:
    """A 500 of S3 costs two pauses, not the run."""
    _offer(boot, _bundle())
    boot.around.failures = 2
    assert boot.run() == 0
    assert boot.around.waits == [1, 2]
    assert (boot.disk / "agent.json").exists()


@pytest.mark.parametrize("code", [1, 75, 137])
def test_an_agent_that_left_no_marker_gets_one(boot: Any, code: int) -> None:
    """An agent that crashed is FAILURE(agent) with the boot log's tail."""
    _offer(boot, _bundle(code))
    boot.run()
    assert [marker["reason"] for marker in boot.markers()] == ["agent", "agent"]
    assert "the agent was here" in boot.markers()[0]["log_tail"]


def test_an_agent_that_was_interrupted_keeps_its_word(boot: Any) -> None:
    """Where the attempt has its marker, the run gets none from us: a relaunch may follow."""
    _offer(boot, _bundle(75))
    boot.around.objects["/the-bucket/runs/run-1/attempts/2/marker.json"] = b'{"kind": "mine"}'
    boot.run()
    assert boot.markers() == [{"kind": "mine"}, None]


def test_an_image_without_python_still_goes_off(boot: Any) -> None:
    """Where nothing of ours can run, the script's end switches the machine off."""
    boot.program("python3", "exit 127")
    boot.run()
    assert boot.calls()[-1] == "shutdown -h now"


def test_s3_accepts_the_signatures(boot: Any) -> None:
    """Every request that reached S3 bears the signature that botocore's own signer computes."""
    _offer(boot, _bundle(1))
    boot.run()
    assert {request.method for request in boot.around.requests} == {"GET", "PUT"}
    for request in boot.around.requests:
        headers = request.headers
        names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        signed = {name: headers[name] for name in names}
        expected = _botocore_authorization(
            request.method, boot.around.url + request.path, signed, request.body
        )
        assert headers["authorization"] == expected
        assert hashlib.sha256(request.body).hexdigest() == headers["x-amz-content-sha256"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The boot program's functions."""
    path = tmp_path_factory.mktemp("boot") / "boot.py"
    path.write_text(userdata.boot_program())
    return runpy.run_path(str(path))


@given(
    method=st.sampled_from(["GET", "PUT"]),
    key=st.from_regex(r"[a-z0-9-]{1,20}(/[A-Za-z0-9._-]{1,20}){0,4}", fullmatch=True),
    body=st.binary(max_size=100),
    extra=st.sampled_from([{}, {"if-none-match": "*", "content-type": "application/json"}]),
)
def test_any_request_is_signed_as_botocore_signs_it(
    program: dict[str, Any], method: str, key: str, body: bytes, extra: dict[str, str]
) -> None:
    """Same method, key, headers and body: same signature."""
    credentials = {"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token"}
    url = f"https://bucket.s3.eu-west-1.amazonaws.com/{key}"
    when = "20270115T080000Z"
    headers = program["sign"](method, url, extra, body, credentials, "eu-west-1", when)
    signed = {name: text for name, text in headers.items() if name != "authorization"}
    expected = _botocore_authorization(
        method, url, signed, body, Credentials("AKID", "secret", "token")
    )
    assert headers["authorization"] == expected


def _botocore_authorization(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    credentials: Credentials | None = None,
) -> str:
    credentials = credentials or Credentials("ASIAEXAMPLE", "secret/with+signs=", "a-session-token")
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = S3SigV4Auth(credentials, "s3", "eu-west-1")
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = ";".join(sorted(headers))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
