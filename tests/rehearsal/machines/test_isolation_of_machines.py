"""Whole machines that try to leave their folder; the proof `isolation`."""

from __future__ import annotations

import json
import os
import site
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flyback.rehearsal.isolation import available, fence

if TYPE_CHECKING:
    from conftest import Machines

PROBE = Path(__file__).with_name("probe.py").read_text()


def probe(plan: dict[str, Any]) -> str:
    """User-data that tries all of a plan and leaves what succeeded in found.json."""
    return (
        "#!/bin/bash\ncat > \"$FLYBACK_ROOT/probe.py\" <<'PYTHON'\n"
        f"{PROBE}\nPYTHON\n"
        "cat > \"$FLYBACK_ROOT/plan.json\" <<'JSON'\n"
        f"{json.dumps(plan)}\nJSON\n"
        'python3 "$FLYBACK_ROOT/probe.py" < "$FLYBACK_ROOT/plan.json"\n'
    )


def package_places() -> list[Path]:
    """Every folder of Python packages on this computer that this process knows."""
    places = {Path(entry) for entry in [*sys.path, *site.getsitepackages()] if entry}
    places |= {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}
    base = Path(sysconfig.get_path("stdlib"))
    places |= {base / "site-packages", Path("/usr/lib/python3/dist-packages")}
    return sorted(place.resolve() for place in places if place.exists())


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[list[Path]]:
    """What a machine must not reach: folders and files of every kind of owner."""
    checkout = Path(__file__).resolve().parents[3]
    home = Path(os.environ["FLYBACK_HOME"])
    (home / "rehearsal" / "i-neighbour").mkdir(parents=True)
    (home / "rehearsal" / "i-neighbour" / "its-victim").write_text("neighbour")
    (home / "ledger-victim").write_text("{}")
    scratch = Path(f"/tmp/{os.getpid()}-victim")  # noqa: S108  # a place everybody knows
    scratch.write_text("scratch")
    packages = package_places()
    paths = [
        checkout,
        checkout / "pyproject.toml",
        Path(fence.__file__),
        *packages,
        *(next(place.rglob("*.py"), place) for place in packages if place.is_dir()),
        Path(os.path.expanduser("~root")),  # noqa: PTH111  # Path has no such thing
        Path.home(),
        Path("/tmp"),  # noqa: S108  # as above
        Path("/var/tmp"),  # noqa: S108  # as above
        scratch,
        tmp_path,
        home,
        home / "ledger-victim",
        home / "rehearsal" / "i-neighbour",
        home / "rehearsal" / "i-neighbour" / "its-victim",
    ]
    yield [path for path in paths if path.exists()]
    scratch.unlink(missing_ok=True)  # it is the machine that must not do this


def attempts(
    machines: Machines, outside: list[Path], changed: Callable[[], list[str]]
) -> dict[str, Any]:
    """Let one machine try everything; what it found, with the count of changed paths."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plan = {
            "paths": list(map(str, outside)),
            "read_only": [
                "/etc",
                "/etc/passwd",
                "/usr",
                "/usr/bin",
                "/usr/bin/env",
                "/dev",
                "/dev/shm",  # noqa: S108  # must not be writable
                "/var",
                "/",
                str(machines.image.path),
                str(machines.image.bin),
                str(next(machines.image.path.rglob("numpy/__init__.py"))),
            ],
            "victims": [str(path) for path in outside if path.name.endswith("-victim")],
            "secrets": [
                "/etc/shadow",
                "/proc/1/environ",
                f"/proc/{os.getpid()}/environ",
                f"/proc/{os.getpid()}/maps",
                f"/proc/{os.getpid()}/cwd/",
                f"/proc/{os.getpid()}/root/etc",
            ],
            "addresses": [list(listener.getsockname())],
        }
        instance = machines.run(probe(plan))
    found: dict[str, Any] = json.loads((machines.root(instance) / "found.json").read_text())
    found["changed"] = changed()
    found["record"] = machines.simulator.record(instance)
    found["log"] = machines.log(instance)
    return found


@pytest.mark.usefixtures("fenced")
def test_a_machine_reaches_nothing_of_the_developer(
    machines: Machines, outside: list[Path]
) -> None:
    """A script that tries the checkout, packages, home and scratch fails on every one."""
    found = attempts(machines, outside, list)
    assert found["own"] == ["mine"]
    assert found["attempts"] > 100
    assert found["reads"] == []
    assert found["writes"] == []
    assert found["record"]["isolated"] is True
    if available().landlock >= 4:
        assert found["network"] == []


@pytest.mark.proof
@pytest.mark.usefixtures("fenced")
def test_proof_isolation(
    machines: Machines,
    outside: list[Path],
    snapshots: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine reads and writes nothing outside its folder: attempts and a snapshot agree."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # this process's imports are no change
    checkout = Path(__file__).resolve().parents[3]
    caches = [
        checkout / f".{name}" for name in ("pytest_cache", "mypy_cache", "ruff_cache", "hypothesis")
    ]
    folders = [checkout, Path(os.environ["FLYBACK_HOME"]), *package_places()]
    before = snapshots.snapshot(folders, [*caches, machines.folder])

    def changed() -> list[str]:
        after = snapshots.snapshot(folders, [*caches, machines.folder])
        found: list[str] = snapshots.changes(before, after)
        return found

    found = attempts(machines, outside, changed)
    writes = [*found["writes"], *found["changed"]]
    print(
        f"PROOF isolation writes_outside={len(writes)} reads_outside={len(found['reads'])} "
        f"attempts={found['attempts']} paths={len(before)} landlock={available().landlock}"
    )
    assert found["own"] == ["mine"]
    assert found["attempts"] > 100
    assert writes == []
    assert found["reads"] == []
