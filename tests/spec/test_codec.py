"""Nouns travel as JSON and come back equal."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.spec.codec import decode, dumps, encode, loads, read_json, write_json
from flyback.spec.event import Event, Marker
from flyback.spec.job import Input, JobSpec, Resources, SpotPolicy
from flyback.spec.launch import Attempt, Launch
from flyback.spec.result import Result

_names = st.text("abcdefghij-", min_size=1, max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | _names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_resources = st.builds(
    Resources,
    gpu=st.none() | _names,
    gpu_memory_gib=st.none() | st.floats(1, 200),
    any_of=st.lists(_names, max_size=3).map(tuple),
    disk_gib=st.integers(8, 500),
)
_jobs = st.builds(
    JobSpec,
    name=_names,
    workload=st.none() | _names,
    command=st.lists(_names, max_size=3).map(tuple),
    parameters=st.dictionaries(_names, _values, max_size=3),
    sweep=st.dictionaries(_names, st.lists(st.integers(), max_size=3).map(tuple), max_size=2),
    setup=st.lists(st.lists(_names, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    inputs=st.lists(st.builds(Input, source=_names, path=_names), max_size=2).map(tuple),
    resources=_resources,
    spot=st.builds(SpotPolicy, attempts=st.integers(0, 5)),
    max_hours=st.floats(0.1, 24),
    max_usd=st.none() | st.floats(0.01, 10),
)
_launches = st.builds(
    Launch,
    run_id=_names,
    job=_jobs,
    engine=st.just("ec2"),
    region=_names,
    store=_names,
    log_group=_names,
    image_id=_names,
    image_parameter=_names,
    bundle_sha256=_names,
    workdir_sha256=st.none() | _names,
    created_at=st.floats(0, 2e9),
    deadline=st.floats(0, 2e9),
    attempts=st.lists(
        st.builds(
            Attempt,
            number=st.integers(1, 5),
            token=_names,
            market=_names,
            request=st.dictionaries(_names, _values, max_size=2),
        ),
        max_size=2,
    ).map(tuple),
)
_markers = st.builds(
    Marker,
    run_id=_names,
    attempt=st.integers(1, 9),
    kind=st.sampled_from(["SUCCESS", "FAILURE", "INTERRUPTED"]),
    exit_code=st.none() | st.integers(-15, 255),
    reason=_names,
    log_tail=st.text(max_size=40),
    at=st.floats(0, 2e9),
)


@given(noun=st.one_of(_jobs, _launches, _markers))
def test_nouns_round_trip(noun: Any) -> None:
    """Whatever a noun holds, JSON brings it back equal, as one line."""
    text = dumps(noun)
    assert "\n" not in text
    assert loads(type(noun), text) == noun


def test_equal_jobs_have_equal_digests() -> None:
    """The digest depends on what a job says, and on all of it."""
    job = JobSpec(name="a", workload="spectral", parameters={"nfft": 4096})
    assert (
        job.digest() == JobSpec(name="a", workload="spectral", parameters={"nfft": 4096}).digest()
    )
    assert job.digest() != dataclasses.replace(job, max_hours=2.0).digest()


def test_cells_are_the_product_of_the_sweep() -> None:
    """A sweep runs every combination, the last name fastest, over the fixed parameters."""
    job = JobSpec(name="a", parameters={"x": 0, "z": 9}, sweep={"x": (1, 2), "y": ("a", "b")})
    assert list(job.cells()) == [
        {"x": 1, "z": 9, "y": "a"},
        {"x": 1, "z": 9, "y": "b"},
        {"x": 2, "z": 9, "y": "a"},
        {"x": 2, "z": 9, "y": "b"},
    ]
    assert list(JobSpec(name="a", parameters={"x": 1}).cells()) == [{"x": 1}]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"kind": "boom", "at": 1.0, "attempt": 1}, "Event.kind: 'boom' is none of"),
        ({"kind": "prepared", "at": "x", "attempt": 1}, "Event.at: float is expected"),
        ({"kind": "prepared", "at": 1, "attempt": True}, "Event.attempt: int is expected"),
        ({"kind": "prepared", "at": 1, "attempt": 1, "atempt": 2}, "unknown field 'atempt'"),
        ({"kind": "prepared"}, "missing 2 required"),
        ([], "Event: a mapping is expected"),
    ],
)
def test_wrong_documents_are_refused_by_field(data: Any, sentence: str) -> None:
    """A document of another shape is a ValueError that names the field."""
    with pytest.raises(ValueError, match=sentence):
        decode(Event, data)


def test_not_a_number_is_not_json() -> None:
    """NaN has no place in a record: other JSON readers would refuse the file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(Result(values={"x": float("nan")}))


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing goes through a temporary name; a failure leaves the old file and no litter."""
    path = tmp_path / "deep" / "marker.json"
    marker = Marker(
        run_id="r", attempt=1, kind="SUCCESS", exit_code=0, reason="ok", log_tail="", at=1.0
    )
    write_json(path, marker)
    assert read_json(Marker, path) == marker
    assert json.loads(path.read_text()) == encode(marker)

    def broken(self: Path, target: Path) -> Path:
        raise OSError(28, f"no space for {self} {target}")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="no space"):
        write_json(path, dataclasses.replace(marker, reason="new"))
    monkeypatch.undo()
    assert read_json(Marker, path) == marker
    assert [item.name for item in path.parent.iterdir()] == ["marker.json"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """Reading a file that is not of its kind says which file."""
    path = tmp_path / "marker.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"marker\.json"):
        read_json(Marker, path)
