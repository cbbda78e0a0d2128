from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from flyback.rehearsal.clock import ClockError, VirtualClock
from flyback.spec.clock import RemoteClock

START = 1_700_000_000.0


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START, factor=100.0)
    yield clock
    clock.close()


@pytest.fixture
def url(clock: VirtualClock) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(clock.serve(self.path.rpartition("/")[2], body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/_flyback/clock"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_process_takes_part_over_http(clock: VirtualClock, url: str) -> None:
    """join, now, sleep and leave act on the served clock as they do in its process."""
    remote = RemoteClock(url, "agent")
    remote.join()
    remote.sleep(3600)
    assert remote.now() == START + 3600
    remote.leave()
    assert clock.explain() == "nobody takes part"


def test_two_processes_share_one_time(clock: VirtualClock, url: str) -> None:
    """A remote and a local participant wake in the order of their due times."""
    seen: list[tuple[str, float]] = []
    remote = RemoteClock(url, "agent")
    remote.join()

    def live() -> None:
        for _ in range(3):
            remote.sleep(10)
            seen.append(("agent", remote.now() - START))
        remote.leave()

    client = clock.participant("client")
    client.join()
    thread = threading.Thread(target=live)
    thread.start()
    for _ in range(2):
        client.sleep(15)
        seen.append(("client", client.now() - START))
    client.leave()
    thread.join(10)
    assert sorted(seen, key=lambda entry: entry[1])[:4] == seen[:4]
    assert seen[0] == ("agent", 10)
    assert seen[1] == ("client", 15)


def test_a_child_computes_as_measured_over_http(clock: VirtualClock, url: str) -> None:
    """The simulated seconds of a real child process are its real seconds times the factor."""
    remote = RemoteClock(url, "agent")
    remote.join()
    begun = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", "sum(range(10**6))"])
    waits = 0
    while not remote.wait(child, 15):
        waits += 1
    simulated = clock.now() - START
    assert 0 < simulated <= 100 * (time.monotonic() - begun)
    assert waits >= int(simulated / 15) - 1
    assert child.returncode == 0
    remote.leave()


def test_a_local_participant_waits_for_a_child(clock: VirtualClock) -> None:
    """In-process participants wait for children that compute, too."""
    local = clock.participant("guard")
    local.join()
    child = subprocess.Popen([sys.executable, "-c", ""])
    while not local.wait(child, 1):
        pass
    assert clock.now() > START
    assert local.wait(child, 1e9)


def test_a_new_process_replaces_the_wait_of_a_dead_one(clock: VirtualClock) -> None:
    """A wait over the wire ends the pending one of the same name: its process is gone."""
    clock.join("blocker")
    first = threading.Thread(
        target=clock.serve,
        args=("wait", {"participant": "agent", "seconds": 1e9, "working": False}),
        daemon=True,
    )
    first.start()
    pause = threading.Event()
    while "agent waits" not in clock.explain():
        pause.wait(0.001)
    second = threading.Thread(
        target=clock.serve,
        args=("wait", {"participant": "agent", "seconds": 5, "working": False}),
        daemon=True,
    )
    second.start()
    first.join(10)
    clock.leave("blocker")
    second.join(10)
    assert clock.now() == START + 5


def test_an_unknown_verb_is_an_error(clock: VirtualClock) -> None:
    """The wire protocol has five verbs."""
    with pytest.raises(ClockError, match="no verb 'stop'"):
        clock.serve("stop", {})
