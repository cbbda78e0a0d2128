"""Overrides on the command line."""

from __future__ import annotations

import string
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.errors import JobFileError
from flyback.spec.load import LoadedJob, load_job
from flyback.spec.overrides import Override, format_override, parse_override
from flyback.spec.ranges import expand_range

Load = Callable[..., LoadedJob]
JOB = """\
name: demo
workload: spectral
parameters: {nfft: 1024, window: hann}
env: {A: x}
resources: {gpu: T4, any_of: [g4dn.xlarge]}
max_hours: 2
"""

KEYS = st.text(string.ascii_letters + "_", min_size=1).flatmap(
    lambda head: st.builds(lambda tail: head + tail, st.text(string.ascii_letters + "_-0123456789"))
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=80), inner, max_size=3)
    ),
    max_leaves=8,
)
WAYS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
OVERRIDES = st.one_of(
    st.builds(Override, action=st.just("remove"), way=WAYS),
    st.builds(
        Override,
        action=st.sampled_from(["set", "add"]),
        way=WAYS,
        values=st.tuples(VALUES),
    ),
    st.builds(
        Override,
        action=st.sampled_from(["set", "add"]),
        way=WAYS,
        values=st.lists(VALUES, min_size=1, max_size=4).map(tuple),
        sweep=st.just(True),
    ),
)


@given(override=OVERRIDES)
def test_what_is_written_is_what_is_read(override: Override) -> None:
    """Formatting and parsing are inverse."""
    assert parse_override(format_override(override)) == override


@given(text=st.text() | st.text(alphabet="+~=,.[]{}()'\"# ab1:*&!", max_size=30))
def test_no_word_is_a_traceback(text: str) -> None:
    """Any word is an override or a JobFileError that begins with the word."""
    try:
        parse_override(text)
    except JobFileError as error:
        where = error.where
    else:
        return
    assert where == text


def set_to(key: str, *values: Any, sweep: bool = False) -> Override:
    """`key=value`."""
    return Override(action="set", way=tuple(key.split(".")), values=values, sweep=sweep)


EXAMPLES = {
    "nfft=2048": set_to("nfft", 2048),
    "window=hann": set_to("window", "hann"),
    "resources.gpu=L4": set_to("resources.gpu", "L4"),
    "lr=1e-3": set_to("lr", 0.001),
    "on=yes": set_to("on", "yes"),
    "x=null": set_to("x", None),
    "x=''": set_to("x", ""),
    "x=a=b": set_to("x", "a=b"),
    "x=it's": set_to("x", "it's"),
    "x='a,b'": set_to("x", "a,b"),
    'x="a,\\"b"': set_to("x", 'a,"b'),
    "x=[1,2]": set_to("x", [1, 2]),
    "x={a: 1, b: [2,3]}": set_to("x", {"a": 1, "b": [2, 3]}),
    "x=a, b ,c": set_to("x", "a", "b", "c", sweep=True),
    "x=[1,2],[3]": set_to("x", [1, 2], [3], sweep=True),
    "x='a,b',c": set_to("x", "a,b", "c", sweep=True),
    "x=it's,b": set_to("x", "it's", "b", sweep=True),
    "x=1,": set_to("x", 1, sweep=True),
    "x=range(1,4)": set_to("x", 1, 2, 3, sweep=True),
    "x=range(3)": set_to("x", 0, 1, 2, sweep=True),
    "x=range(1, 8, 3),100": set_to("x", 1, 4, 7, 100, sweep=True),
    "x=range(3,0,-1)": set_to("x", 3, 2, 1, sweep=True),
    "x=range(0.1,0.5,0.1)": set_to("x", 0.1, 0.2, 0.3, 0.4, sweep=True),
    "x=range(0,1,.25)": set_to("x", 0.0, 0.25, 0.5, 0.75, sweep=True),
    "x=range(1e3,3e3,1e3)": set_to("x", 1000.0, 2000.0, sweep=True),
    "x='range(1,4)'": set_to("x", "range(1,4)"),
    "+env.NEW=1": Override(action="add", way=("env", "NEW"), values=(1,)),
    "~max_usd": Override(action="remove", way=("max_usd",)),
}


@pytest.mark.parametrize("text", list(EXAMPLES))
def test_the_grammar(text: str) -> None:
    """Values are YAML; commas outside brackets and quotes, and ranges, make a sweep."""
    override = parse_override(text)
    assert override == EXAMPLES[text]
    assert [type(v) for v in override.values] == [type(v) for v in EXAMPLES[text].values]


@given(
    start=st.integers(-(10**6), 10**6),
    stop=st.integers(-(10**6), 10**6),
    step=st.integers(-1000, 1000).filter(bool),
)
def test_a_range_is_python_s(start: int, stop: int, step: int) -> None:
    """Start is among the values, stop is not; an empty or huge one is refused."""
    expected = range(start, stop, step)
    text = f"range({start}, {stop}, {step})"
    if 0 < len(expected) <= 10_000:
        assert expand_range(text) == tuple(expected)
    else:
        with pytest.raises(ValueError, match="holds"):
            expand_range(text)


@given(
    start=st.decimals(-100, 100, places=3),
    step=st.decimals("0.001", 10, places=3),
    count=st.integers(1, 200),
)
def test_a_range_of_fractions_does_not_drift(start: Any, step: Any, count: int) -> None:
    """The n-th value is the float nearest to start + n x step, and there are as many as asked."""
    values = expand_range(f"range({start}, {start + step * count}, {step})")
    assert values == tuple(float(Fraction(start) + Fraction(step) * i) for i in range(count))


def test_a_bare_name_is_a_parameter(load: Load) -> None:
    """Of the job, of its sweep, or of its workload; the keys of a job file come first."""
    assert load(JOB, "nfft=512").job.parameters["nfft"] == 512
    assert load(JOB, "channels=4").job.parameters["channels"] == 4
    assert load(JOB, "max_usd=0.5").job.max_usd == 0.5
    command = "name: demo\ncommand: [ls]\nparameters: {model: {depth: 1}}\n"
    assert load(command, "model.depth=2").job.parameters == {"model": {"depth": 2}}
    assert load(command, "+model.width=2").job.parameters == {"model": {"depth": 1, "width": 2}}
    assert load(command, "+seed=2").job.parameters["seed"] == 2


def test_a_key_inside_a_section(load: Load) -> None:
    """Only that key changes, and a section that the file does not have is made."""
    resources = load(JOB, "resources.count=2").job.resources
    assert (resources.gpu, resources.count) == ("T4", 2)
    assert load(JOB, "spot.attempts=5").job.spot.attempts == 5
    assert load(JOB, "resources.any_of=[g5.xlarge, g6.xlarge]").job.resources.any_of == (
        "g5.xlarge",
        "g6.xlarge",
    )


def test_a_section_is_replaced_as_a_whole(load: Load) -> None:
    """`resources={…}` does not merge: what is written is what it is."""
    resources = load(JOB, "resources={count: 0}").job.resources
    assert (resources.gpu, resources.count) == (None, 0)


def test_text_stays_as_written(load: Load) -> None:
    """On the command line too."""
    job = load(JOB, "env.A=1.10", "+env.B=true", "name=2026").job
    assert (job.env, job.name) == ({"A": "1.10", "B": "true"}, "2026")


def test_removing(load: Load) -> None:
    """A removed key has its default again; a parameter goes wherever it stands."""
    job = load(JOB, "~max_hours", "~env.A", "~resources.gpu", "~window").job
    assert (job.max_hours, job.env, job.resources.gpu) == (1.0, {}, None)
    assert job.parameters == {"nfft": 1024}
    assert load(JOB, "nfft=1,2", "~nfft").job.sweep == {}


def test_later_overrides_decide(load: Load) -> None:
    """A value ends a sweep, a sweep ends a value."""
    assert load(JOB, "nfft=1,2", "nfft=4").job.sweep == {}
    job = load(JOB, "nfft=4", "nfft=1,2").job
    assert (job.sweep, job.parameters) == ({"nfft": (1, 2)}, {"window": "hann"})
    job = load(JOB, "nfft=1,2", "parameters={nfft: 8}").job
    assert (job.sweep, job.parameters) == ({}, {"nfft": 8})
    assert load(JOB, "~nfft", "+nfft=16").job.parameters["nfft"] == 16
    assert load(JOB, "sweep={nfft: [1, 2]}", "sweep.nfft=4,8").job.sweep == {"nfft": (4, 8)}


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_sweep_is_a_product(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """As many runs as the product of the values, no two alike, the last name varying fastest."""
    path = tmp_path_factory.getbasetemp() / "product.yaml"
    path.write_text("name: demo\ncommand: [ls]\n")
    words = [f"+p{i}=range({size})" for i, size in enumerate(sizes)]
    cells = [tuple(cell.values()) for cell in load_job(path, words).job.cells()]
    expected = 1
    for size in sizes:
        expected *= size
    assert len(cells) == len(set(cells)) == expected
    assert cells == sorted(cells)


SCALARS = st.integers(-1000, 1000) | st.booleans() | st.text(string.printable, max_size=8)


@given(
    parameters=st.dictionaries(KEYS, SCALARS, max_size=3),
    env=st.dictionaries(
        st.sampled_from(["A", "B", "_c"]), st.text(string.printable, max_size=8), max_size=3
    ),
    max_hours=st.floats(0.01, 24),
    sweep=st.lists(SCALARS, min_size=1, max_size=3),
    data=st.data(),
)
def test_a_job_s_own_values_change_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    parameters: dict[str, Any],
    env: dict[str, str],
    max_hours: float,
    sweep: list[Any],
    data: st.DataObject,
) -> None:
    """Overriding with what stands there is the identity, in any order, down to the digest."""
    from flyback.spec.codec import dumps

    document = {
        "name": "demo",
        "command": ["ls"],
        "parameters": parameters,
        "env": env,
        "max_hours": max_hours,
        "sweep": {"0swept": sweep},
    }
    path = tmp_path_factory.getbasetemp() / "own.json"
    path.write_text(dumps(document))
    own = [set_to("max_hours", max_hours), set_to("0swept", *sweep, sweep=True)]
    own += [
        Override(action="set", way=("parameters", key), values=(value,))
        for key, value in parameters.items()
    ]
    own += [set_to(f"env.{key}", value) for key, value in env.items()]
    words = [format_override(override) for override in data.draw(st.permutations(own))]
    before, after = load_job(path).job, load_job(path, words).job
    assert after == before
    assert after.digest() == before.digest()


@given(data=st.data())
def test_equal_jobs_have_equal_digests(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever the order of keys, the file's format or the way that a value came in."""
    from flyback.spec.codec import dumps

    values = {"a": {"y": 1, "x": [1, {"q": 2, "p": 3}]}, "b": 2, "c": "three"}
    keys = ["name", "command", "parameters", "env", "max_hours"]
    document = {
        "name": "demo",
        "command": ["ls"],
        "parameters": {key: values[key] for key in data.draw(st.permutations(list(values)))},
        "env": {key: key for key in data.draw(st.permutations(["A", "B", "C"]))},
        "max_hours": data.draw(st.sampled_from([2, 2.0])),
    }
    folder = tmp_path_factory.getbasetemp()
    one, other = folder / "one.json", folder / "other.yaml"
    one.write_text(dumps({key: document[key] for key in data.draw(st.permutations(keys))}))
    other.write_text(
        "name: demo\ncommand: ls\nmax_hours: 1\nenv: {B: B, A: A}\n"
        "parameters: {b: 2, a: {x: [1, {p: 3, q: 2}], y: 1}}\n"
    )
    first = load_job(one).job
    second = load_job(other, ["max_hours=2", "+env.C=C", "+parameters.c=three"]).job
    assert first == second
    assert first.digest() == second.digest()


def test_an_override_of_a_shared_default_does_not_leak(tmp_path: Path) -> None:
    """Loading twice gives the same job: nothing is changed in place."""
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    before = load_job(path).job
    load_job(path, ["nfft=1,2", "resources.gpu=L4"])
    assert load_job(path).job == before


def test_an_error_does_not_show_a_secret(load: Load) -> None:
    """Terminals and build logs are read by others."""
    with pytest.raises(JobFileError) as caught:
        load(JOB, "+secrets.TOKEN=hf_abcdefgh")
    assert str(caught.value) == (
        "+secrets.TOKEN=…: secrets.TOKEN: no reference to a secret; the secret itself never stands "
        "in a job file\n  → write ssm:/name or secretsmanager:name"
    )
