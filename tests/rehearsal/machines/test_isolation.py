"""The fence: paths, ports, signals, and the first process that keeps it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.rehearsal.image import Image
from flyback.rehearsal.isolation import (
    Fence,
    Protection,
    available,
    fence,
    private_paths,
    start,
    system_paths,
)

PROBE = Path(__file__).with_name("probe.py").read_text()
BASH = shutil.which("bash", path="/usr/bin:/bin") or "/bin/bash"


class Runner:
    """Runs shell commands behind a fence, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.environment = {"PATH": "/usr/bin:/bin"}
        self.fence = Fence(read=system_paths(private_paths()), write=(str(folder),), ports=())

    def start(self, *scripts: str) -> subprocess.Popen[bytes]:
        return start(
            [[BASH, "-c", script] for script in scripts],
            self.fence,
            directory=self.folder,
            environment=self.environment,
            log=self.log,
        )

    def run(self, *scripts: str) -> str:
        """What the scripts print, and the reports in `reports`."""
        with self.start(*scripts) as process:
            assert process.stdout is not None
            self.reports = [json.loads(line) for line in process.stdout]
        return self.log.read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    folder = tmp_path / "machine"
    folder.mkdir()
    return Runner(folder)


@pytest.mark.usefixtures("fenced")
def test_this_kernel_has_the_fence() -> None:
    """Where the tests run machines are isolated; elsewhere this fails and says why."""
    assert available().landlock >= 1
    assert str(available()).startswith("isolated by the kernel")


def test_what_is_missing_is_said() -> None:
    """The user reads whether machines are isolated, and what an older kernel leaves open."""
    assert "not isolated: this kernel has no Landlock" in str(Protection())
    assert str(Protection(landlock=7, sockets=True)) == "isolated by the kernel"
    partly = str(Protection(landlock=3, sockets=True))
    assert "may open TCP connections" in partly
    assert "may signal your processes" in partly


@pytest.mark.usefixtures("fenced")
def test_a_command_reaches_its_folder_and_the_system(runner: Runner) -> None:
    """Reading, writing, renaming and executing in the own folder work, and so do the tools."""
    output = runner.run(
        "mkdir -p a b && echo text > a/file && mv a/file b/file && ln -s b/file link && cat link\n"
        "printf '#!/bin/bash\\necho run\\n' > script && chmod +x script && ./script\n"
        "cat < <(echo piped); sort <<< here; getent passwd 0 | cut -d: -f3; rm -r a b; ls"
    )
    assert output.splitlines() == ["text", "run", "piped", "here", "0", "link", "log", "script"]


@pytest.mark.usefixtures("fenced")
def test_a_command_reaches_nothing_else(runner: Runner) -> None:
    """Neither a neighbour's files nor a link to them can be read, listed, linked or written."""
    secret = runner.folder.parent / "secret"
    secret.mkdir()
    (secret / "file").write_text("s3cret\n")
    output = runner.run(
        f"cat {secret}/file; ls {secret}; ln {secret}/file here; ln -s {secret}/file link; "
        f"cat link; echo x >> {secret}/file; touch {secret}/new; rm {secret}/file; "
        f"mv {secret}/file mine; cp -r {secret} copy; cd {secret} && cat file; . {secret}/file"
    )
    assert "s3cret" not in output
    assert (secret / "file").read_text() == "s3cret\n"
    assert [path.name for path in secret.iterdir()] == ["file"]
    assert output.count("Permission denied") >= 8


SOCKETS = """
import socket
def attempt(word, action):
    try:
        action()
        print(word)
    except OSError:
        print("refused")
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW))
attempt("multipath", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt("bound", lambda: socket.socket().bind(("127.0.0.1", 0)))
attempt("pair", socket.socketpair)
"""


@pytest.mark.usefixtures("fenced")
def test_ports(runner: Runner, image: Image) -> None:
    """Only the listed TCP port can be reached; no port can be opened, no datagram sent."""
    if available().landlock < 4 or not available().sockets:
        pytest.fail(f"this test needs Linux 6.7: {available()}")
    with (
        socket.create_server(("127.0.0.1", 0)) as allowed,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        good, bad = allowed.getsockname()[1], other.getsockname()[1]
        read = (*runner.fence.read, str(image.path), *map(str, image.needs))
        runner.fence = Fence(read=read, write=runner.fence.write, ports=(good,))
        output = runner.run(
            f"exec 3<>/dev/tcp/127.0.0.1/{good} && echo good\n"
            f"(exec 3<>/dev/tcp/127.0.0.1/{bad} && echo bad)\n"
            f"(exec 3<>/dev/udp/127.0.0.1/{bad} && echo datagram)\n"
            f"{image.bin}/python3 -c '{SOCKETS}'\n"
        )
    words = output.split()
    assert "good" in words
    assert "pair" in words
    assert words.count("refused") == 4
    assert not {"bad", "datagram"} & set(words)


@pytest.mark.usefixtures("fenced")
def test_other_processes_are_out_of_reach(runner: Runner) -> None:
    """A machine can't signal processes outside, nor read their environment or memory."""
    victim = os.getpid()
    output = runner.run(
        f"kill -0 {victim} && echo signalled; kill -0 $PPID && echo signalled\n"
        f"cat /proc/{victim}/environ && echo read; cat /proc/{victim}/maps && echo read\n"
        f"ls /proc/{victim}/root/ && echo listed; sleep 100 & kill $! && echo own"
    )
    assert not {"read", "listed"} & set(output.split())
    assert "own" in output.split()
    if available().landlock >= 6:
        assert "signalled" not in output


@pytest.mark.usefixtures("fenced")
def test_root_has_no_privileges(runner: Runner) -> None:
    """Whoever runs the rehearsal, a machine has no capability and can't gain one."""
    output = runner.run("grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs)' /proc/self/status")
    values = dict(line.split(":\t") for line in output.splitlines())
    assert values["NoNewPrivs"] == "1"
    assert values["CapEff"] == values["CapPrm"] == "0" * 16
    if os.geteuid() == 0:
        assert values["CapBnd"] == "0" * 16


def test_commands_run_in_order_and_the_first_failure_counts(runner: Runner) -> None:
    """Each starts when the one before has ended; the status is that of the first that failed."""
    output = runner.run("echo one", "echo two; exit 4", "echo three; exit 5")
    assert output.split() == ["one", "two", "three"]
    assert runner.reports[-1] == {"main": 4}
    assert [set(report) for report in runner.reports] == [{"fence"}] * 3 + [{"main"}]


def test_a_command_that_does_not_exist(runner: Runner) -> None:
    """It ends with the shell's status for that, and says so in the log."""
    with start(
        [["/no/such/command"]],
        runner.fence,
        directory=runner.folder,
        environment={},
        log=runner.log,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readlines()[-1]) == {"main": 126}
    assert "/no/such/command" in runner.log.read_text()


def test_the_environment_is_the_given_one(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment, open files or signal settings leaks in."""
    monkeypatch.setenv("SECRET", "x")
    runner.environment["GIVEN"] = "1"
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    output = runner.run(
        "echo $SECRET$GIVEN; ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status"
    )
    os.close(reading)
    os.close(writing)
    given, files, ignored = output.splitlines()
    assert given == "1"
    assert int(files) == 4  # the three standard ones, and the folder that ls lists
    assert int(ignored.split()[1], 16) & (1 << signal.SIGPIPE - 1) == 0


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_closing_its_input_kills_everything(runner: Runner) -> None:
    """Daemons that ignore signals and left their session die with their first process."""
    process = runner.start(
        "trap '' TERM HUP; (setsid bash -c 'trap \"\" TERM; echo $$; sleep 1000' &)\n"
        "setsid setsid bash -c 'echo $$; sleep 1000' & echo $$; sleep 1000"
    )
    pause = threading.Event()
    for _ in range(2000):
        if runner.log.exists() and len(runner.log.read_text().split()) == 3:
            break
        pause.wait(0.005)
    pids = [int(word) for word in runner.log.read_text().split()]
    assert len(pids) == 3
    assert process.stdin is not None
    process.stdin.close()
    process.wait(20)
    assert all(map(gone, pids))
    assert process.stdout is not None
    process.stdout.close()


def test_it_dies_with_the_rehearsal(runner: Runner, tmp_path: Path) -> None:
    """When the process that started a machine is killed, the machine ends too."""
    script = tmp_path / "starter.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom flyback.rehearsal.isolation import *\n"
        "folder = Path(sys.argv[1])\n"
        "p = start([[sys.argv[2], '-c', 'echo $$; sleep 1000']], Fence(\n"
        "    read=system_paths(private_paths()), write=(str(folder),)), directory=folder,\n"
        "    environment={'PATH': '/usr/bin:/bin'}, log=folder / 'log')\n"
        "while not (folder / 'log').exists() or not (folder / 'log').read_text(): pass\n"
        "print(p.pid, flush=True)\nsys.stdin.read()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, str(script), str(runner.folder), BASH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    first = int(starter.stdout.readline())
    machine = int(runner.log.read_text())
    with starter:
        starter.kill()
    pause = threading.Event()
    for _ in range(2000):
        if gone(machine) and gone(first):
            break
        pause.wait(0.005)
    assert gone(machine)


def test_what_is_left_behind_is_waited_for(runner: Runner) -> None:
    """The end of the scripts is reported at once, the end of their last child afterwards."""
    process = runner.start("mkfifo gate; (read < gate; echo late) & exit 2")
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert lines[-1] == {"main": 2}
    assert process.poll() is None
    (runner.folder / "gate").write_text("\n")
    process.wait()
    with process:  # closes its input, which would have killed what was left
        pass
    assert runner.log.read_text() == "late\n"


names = st.sampled_from(["a", "b", "c"])
trees = st.sets(st.lists(names, min_size=1, max_size=4).map(tuple), max_size=12)


@given(files=trees, hidden=trees)
def test_carving_grants_all_but_what_is_hidden(
    files: set[tuple[str, ...]], hidden: set[tuple[str, ...]]
) -> None:
    """Of any tree, every file is granted unless it or a folder above it is hidden."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for parts in files:
            root.joinpath(*parts).mkdir(parents=True, exist_ok=True)
            root.joinpath(*parts, "file").touch()
        away = frozenset(root.joinpath(*parts) for parts in hidden)
        granted = list(fence._carve(root, away))
        for path in root.rglob("file"):
            expected = not any(above in away for above in path.parents)
            assert any(grant in (path, *path.parents) for grant in granted) == expected


def test_links_grant_nothing_while_carving(tmp_path: Path) -> None:
    """A link beside something hidden can't bring it, or anything else, back."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "plain").mkdir()
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "again").symlink_to("hidden")
    assert list(fence._carve(tmp_path, frozenset([tmp_path / "hidden"]))) == [tmp_path / "plain"]


def test_no_place_of_packages_is_granted() -> None:
    """No granted path holds or lies in a folder of packages, the home, scratch or the checkout."""
    granted = [Path(path) for path in system_paths(private_paths())]
    for private in private_paths():
        for path in granted:
            assert path != private
            assert path not in private.parents, f"{path} would open {private}"


def test_the_probe_finds_what_is_open(runner: Runner, image: Image, tmp_path: Path) -> None:
    """The same attempts succeed where the fence leaves a gap: none of them is idle."""
    gap = tmp_path / "gap"
    gap.mkdir()
    victim = gap / "a-victim"
    victim.write_text("here")
    runner.fence = Fence(read=("/",), write=(str(runner.folder), str(gap)), ports=None)
    runner.environment |= {"FLYBACK_ROOT": str(runner.folder), "PATH": f"{image.bin}:/usr/bin"}
    plan = {
        "paths": [str(gap), str(victim)],
        "read_only": [],
        "victims": [str(victim)],
        "secrets": ["/proc/self/environ"],
        "addresses": [],
    }
    (runner.folder / "probe.py").write_text(PROBE)
    (runner.folder / "plan.json").write_text(json.dumps(plan))
    assert runner.run("python3 probe.py < plan.json") == ""
    found = json.loads((runner.folder / "found.json").read_text())
    assert len(found["reads"]) >= 6
    assert len(found["writes"]) >= 8
    assert not victim.exists()
