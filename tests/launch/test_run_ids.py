"""Run ids are nobody else's."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flyback.errors import UserError
from flyback.launch.lease import is_of, names
from flyback.launch.runid import claimed_run_id, new_run_id

_NOON = 1767614400.0


def test_the_same_seed_twice_takes_the_next_letters(tmp_path: Path) -> None:
    """A second rehearsal of a job leaves the first one's folder alone; a fresh home repeats it."""
    first, second = (_used("job", tmp_path) for _ in range(2))
    assert first == new_run_id("job", _NOON, random.Random(1))
    assert second != first
    assert _used("job", tmp_path / "other") == first


def test_two_at_once_share_no_id(tmp_path: Path) -> None:
    """Many that start together with one seed all get an id of their own."""
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: _used("job", tmp_path), range(40)))
    assert len(set(claimed)) == len(claimed) == len(list((tmp_path / "runs").iterdir()))


def test_a_refused_launch_leaves_no_folder(tmp_path: Path) -> None:
    """A claimed folder in which nothing was written is gone afterwards."""
    with claimed_run_id("job", _NOON, random.Random(1), tmp_path) as run_id:
        assert (tmp_path / "runs" / run_id).is_dir()
    assert not list((tmp_path / "runs").iterdir())


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    """Where no folder can be made, a person reads where and what to do."""
    home = tmp_path / "home"
    home.write_text("")
    with pytest.raises(UserError, match="FLYBACK_HOME"):
        _used("job", home)


def _used(name: str, home: Path) -> str:
    """The id of a run that wrote something."""
    with claimed_run_id(name, _NOON, random.Random(1), home) as run_id:
        (home / "runs" / run_id / "job.json").write_text("{}")
        return run_id


def test_long_ids_that_end_alike_share_no_schedule_and_no_token() -> None:
    """A schedule of the same name would be changed to the other run's deadline and payload."""
    tail = "-training-of-the-large-model-20260105t120000-abcd-again"
    ids = [f"one{tail}", f"two{tail}", "short", f"{'l' * 63}", f"{'l' * 62}m"]
    assert len(tail) > 50
    made = [set(names(run_id, 3)) for run_id in ids]
    assert sum(map(len, made)) == len(set.union(*made)) == 4 * len(ids)
    assert all(len(name) <= 64 for each in made for name in each)
    assert is_of(names(ids[0], 1)[1], ids[0])
    assert not is_of(names(ids[0], 1)[1], ids[1])
