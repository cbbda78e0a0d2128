"""Checkpoints: on their way while the job goes on, counted only when whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyback.agent.checkpoints import COMPLETE, Checkpoints, restore
from flyback.store.commit import manifest_of
from flyback.store.memory import MemoryStore

Shell = Callable[[str], tuple[str, ...]]
PREFIX = "runs/run-1/checkpoints"


class Told:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, **data: Any) -> None:
        self.events.append((kind, data))


@pytest.fixture
def told() -> Told:
    """Events."""
    return Told()


def shard(folder: Path, step: str, name: str, data: bytes = b"weights") -> None:
    """Write as a careful job does: beside, then renamed."""
    path = folder / step / name
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{name}.tmp")
    beside.write_bytes(data)
    beside.replace(path)


def names(store: MemoryStore) -> list[str]:
    """Keys below the prefix."""
    return [item.key.removeprefix(f"{PREFIX}/") for item in store.list(PREFIX)]


def test_shards_travel_before_the_checkpoint_is_complete(tmp_path: Path, told: Told) -> None:
    """What has come to rest is uploaded while the rest is written; the manifest comes last."""
    store = MemoryStore()
    checkpoints = Checkpoints(store, PREFIX, tmp_path, told)
    shard(tmp_path, "10", "shard-0")
    (tmp_path / "10" / "shard-1.tmp").write_bytes(b"half")
    checkpoints.tick(0.0)
    checkpoints.tick(5.0)
    checkpoints._underway["10"].commit.gather()
    assert names(store) == ["10/shard-0"]
    shard(tmp_path, "10", "shard-1")
    shard(tmp_path, "10", COMPLETE)
    checkpoints.finish(10.0, lambda: None, hurried=True)
    assert names(store) == ["10/manifest.json", "10/shard-0", "10/shard-1", "index.json"]
    assert set(manifest_of(store, f"{PREFIX}/10").files) == {"shard-0", "shard-1"}
    assert told.events == [("checkpoint-committed", {"name": "10", "files": 2, "taken_at": 10.0})]


def test_an_incomplete_checkpoint_counts_for_nothing(tmp_path: Path, told: Told) -> None:
    """The machine goes in the middle of a save: the checkpoint before is what comes back."""
    store = MemoryStore()
    checkpoints = Checkpoints(store, PREFIX, tmp_path / "a", told)
    shard(tmp_path / "a", "10", "shard-0", b"ten")
    shard(tmp_path / "a", "10", COMPLETE)
    checkpoints.tick(0.0)
    shard(tmp_path / "a", "20", "shard-0", b"twenty")
    checkpoints.finish(10.0, lambda: None, hurried=True)
    assert told.events[-1] == ("checkpoint-left", {"name": "20", "complete": False})
    assert restore(store, PREFIX, tmp_path / "b") == "10"
    assert (tmp_path / "b" / "10" / "shard-0").read_bytes() == b"ten"
    assert (tmp_path / "b" / "10" / COMPLETE).exists()
    assert not (tmp_path / "b" / "20").exists()


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, told: Told) -> None:
    """A shard that is not what the manifest says is not trusted."""
    store = MemoryStore()
    checkpoints = Checkpoints(store, PREFIX, tmp_path / "a", told)
    for step in ("10", "20"):
        shard(tmp_path / "a", step, "shard-0", step.encode())
        shard(tmp_path / "a", step, COMPLETE)
    checkpoints.finish(10.0, lambda: None, hurried=False)
    store.put(f"{PREFIX}/20/shard-0", b"??")
    assert restore(store, PREFIX, tmp_path / "b") == "10"
    assert restore(MemoryStore(), PREFIX, tmp_path / "c") is None


def test_cells_of_a_sweep_keep_their_checkpoints_apart(tmp_path: Path, told: Told) -> None:
    """A level below, in the cell's own folder; the newest comes back to where it was."""
    store = MemoryStore()
    checkpoints = Checkpoints(store, PREFIX, tmp_path / "a", told, 2)
    shard(tmp_path / "a" / "0001", "10", "shard-0")
    shard(tmp_path / "a" / "0001", "10", COMPLETE)
    checkpoints.finish(3.0, lambda: None, hurried=False)
    assert restore(store, PREFIX, tmp_path / "b") == "0001/10"
    assert (tmp_path / "b" / "0001" / "10" / COMPLETE).exists()


def test_the_next_attempt_finds_the_checkpoint(machine: Any, shell: Shell) -> None:
    """A job saves and fails; its second attempt has the folder as it was, and says so."""
    save = "d=$FLYBACK_CHECKPOINT_DIR/7; mkdir -p $d; echo s > $d/s; touch $d/COMPLETE; exit 3"
    machine.launch(command=shell(save))
    machine.run()
    assert "checkpoint-committed" in [event.kind for event in machine.events()]
    machine.launch(command=shell("test -e $FLYBACK_CHECKPOINT_DIR/7/COMPLETE"))
    assert machine.run(attempt=2) == 0


def test_the_agent_says_what_fits_into_the_notice(machine: Any, shell: Shell) -> None:
    """Before the job starts: gigabytes on this instance's network."""
    machine.metadata.answers["instance-type"] = "g4dn.xlarge"
    machine.launch(command=shell("true"), network_gbps={"g4dn.xlarge": 5.0})
    machine.run()
    (event,) = [e for e in machine.events() if e.kind == "notice-allows"]
    assert event.detail == {"instance_type": "g4dn.xlarge", "network_gbps": 5.0, "gigabytes": 56.2}
