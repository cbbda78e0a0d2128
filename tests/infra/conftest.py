"""What a first boot finds around it, on loopback: metadata service, S3 and a simulated clock."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flyback.infra import userdata

NOW = 1_800_000_000.0
CREDENTIALS = {
    "Code": "Success",
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "secret/with+signs=",
    "Token": "a-session-token",
}


@dataclass
class Request:
    """A request to S3 as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Surroundings(http.server.ThreadingHTTPServer):
    """IMDSv2 under `/latest`, the clock under `/clock`, and S3 under everything else."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.now = NOW
        self.waits: list[float] = []
        self.metadata: dict[str, str] = {
            "placement/region": "eu-west-1",
            "iam/security-credentials/": "machine-role",
            "iam/security-credentials/machine-role": json.dumps(CREDENTIALS),
            "tags/instance/flyback:run-id": "run-1",
            "tags/instance/flyback:attempt": "2",
            "tags/instance/flyback:store": "s3://the-bucket",
            "tags/instance/flyback:deadline": str(int(NOW) + 3600),
        }
        self.objects: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.failures = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Surroundings

    def do_POST(self) -> None:
        verb = self.path.removeprefix("/clock/")
        if verb == "wait":
            seconds = json.loads(self._body())["seconds"]
            self.server.now += seconds
            self.server.waits.append(seconds)
        self._answer(200, json.dumps({"now": self.server.now}).encode())

    def do_PUT(self) -> None:
        if self.path == "/latest/api/token":
            return self._answer(200, b"token")
        body = self._body()
        if not self._is_taken(body):
            return self._answer(500)
        if self.headers.get("If-None-Match") == "*" and self.path in self.server.objects:
            return self._answer(412)
        self.server.objects[self.path] = body
        return self._answer(200)

    def do_GET(self) -> None:
        if self.path.startswith("/latest/meta-data/"):
            if self.headers.get("X-aws-ec2-metadata-token") != "token":
                return self._answer(401)
            text = self.server.metadata.get(self.path.removeprefix("/latest/meta-data/"))
            return self._answer(404) if text is None else self._answer(200, text.encode())
        if not self._is_taken(b""):
            return self._answer(500)
        data = self.server.objects.get(self.path)
        return self._answer(404) if data is None else self._answer(200, data)

    def _is_taken(self, body: bytes) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, self.path, headers, body))
        if self.server.failures:
            self.server.failures -= 1
            return False
        return True

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, data: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        return


@dataclass
class FirstBoot:
    """A machine's disk and programs, and its surroundings."""

    disk: Path
    around: Surroundings
    bin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.bin = self.disk / "bin"
        self.bin.mkdir(parents=True)
        python = getattr(sys, "_base_executable", sys.executable)
        self.program("python3", f'echo python3 "$@" >>"$FLYBACK_ROOT/calls"\nexec {python} "$@"')
        self.program("shutdown", 'echo shutdown "$@" >>"$FLYBACK_ROOT/calls"')
        # as the service manager: only what is given is in a service's environment
        self.program(
            "systemd-run",
            'echo systemd-run "$@" >>"$FLYBACK_ROOT/calls"\n'
            'while case $1 in --working-directory=*) cd "${1#*=}" ;; --*) ;; *) false ;; esac; do\n'
            '  case $1 in --setenv=*) set -- "$@" "${1#*=}" ;; esac; shift; n=$((n + 1))\n'
            "done\n"
            'exec env -i FLYBACK_ROOT="$FLYBACK_ROOT" /bin/bash "$FLYBACK_ROOT/bin/service" "$@"',
        )
        (self.bin / "service").write_text(
            "words=()\n"
            'for word; do [[ $word == *=* ]] && export "$word" || words+=("$word"); done\n'
            'exec "${words[@]}"\n'
        )

    def program(self, name: str, text: str) -> None:
        """Put a shell script first on the machine's PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self) -> int:
        """Run the user-data as cloud-init does on a first boot."""
        script = self.disk / "user-data"
        script.write_text(userdata.script())
        script.chmod(0o700)
        return self.execute(str(script))

    def execute(self, *command: str) -> int:
        """Run a program of the machine with the machine's bare environment."""
        environ = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "FLYBACK_ROOT": str(self.disk),
            "AWS_ENDPOINT_URL": self.around.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.around.url,
            "FLYBACK_CLOCK_URL": f"{self.around.url}/clock",
            "FLYBACK_CLOCK_PARTICIPANT": "i-1",
        }
        done = subprocess.run(
            command, env=environ, cwd=self.disk, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
        return done.returncode

    def calls(self) -> list[str]:
        """What was called of `shutdown` and `python3`, in order."""
        return (self.disk / "calls").read_text().splitlines()

    def log(self) -> str:
        return (self.disk / "var" / "log" / "flyback-boot.log").read_text()

    def markers(self) -> list[Any]:
        """Markers of the attempt and of the run, None where there is none."""
        keys = (
            "/the-bucket/runs/run-1/attempts/2/marker.json",
            "/the-bucket/runs/run-1/marker.json",
        )
        found = [self.around.objects.get(key) for key in keys]
        return [None if data is None else json.loads(data) for data in found]


@pytest.fixture
def boot(weird_tmp_path: Path) -> Iterator[FirstBoot]:
    """A machine about to boot for the first time, on a disk whose path breaks careless quoting."""
    with Surroundings() as around:
        thread = threading.Thread(target=around.serve_forever)
        thread.start()
        yield FirstBoot(weird_tmp_path / "disk", around)
        around.shutdown()
        thread.join()
    assert not os.path.lexists("/opt/flyback")
