"""Job files as files: what can't be read, what YAML 1.2 and JSON make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.errors import JobFileError
from flyback.spec.document import parse
from flyback.spec.load import LoadedJob, load_job
from flyback.spec.locate import Place, plain

Load = Callable[..., LoadedJob]
JOB = "name: demo\ncommand: [ls]\n"

UNREADABLE = {
    "binary": (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "job.yaml: binary data, not text\n  → give the path of a job file (.yaml or .json)",
    ),
    "latin-1": (
        b"name: demo\nworkload: caf\xe9\n",
        "job.yaml:2: byte 0xe9 is no UTF-8\n  → save the file as UTF-8",
    ),
    "utf-16": (
        JOB.encode("utf-16"),
        "job.yaml: the file is UTF-16, not UTF-8\n  → save it as UTF-8",
    ),
    "large": (
        b"#" * (1 << 20) + b"\n",
        (
            "job.yaml: larger than 1 MiB: this is no job file\n"
            "  → data goes into `inputs:`, the job file only names it"
        ),
    ),
    "control character": (
        b"name: demo\ncommand: [ls]\nworkdir: a\x1bb\n",
        (
            "job.yaml:3: a control character (U+001B)\n"
            '  → remove it, or write it as an escape in double quotes ("\\u001b")'
        ),
    ),
    "deep": (
        b"a: " + b"[" * 60,
        "job.yaml:1: nested deeper than 40 levels",
    ),
    "deep JSON": (
        b'{"a":' + b"[" * 100_000,
        "job.yaml:1: nested deeper than 40 levels",
    ),
    "a bomb of aliases": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 9)
        ),
        "job.yaml:5: more than 100000 values",
    ),
    "an alias inside its anchor": (
        b"name: &n [*n]\n",
        (
            "job.yaml:1: *n stands for an anchor that is not set above\n"
            "  → set it with &n, or put the text in quotes"
        ),
    ),
    "a long key": (
        b'{"name": "demo",\n "' + b"k" * 1001 + b'": 1}',
        "job.yaml:2: a key of more than 1000 characters\n  → shorten it",
    ),
    "half a surrogate pair": (
        b'name: "\\ud83d"\n',
        "job.yaml:1: half of a surrogate pair stands alone",
    ),
}


@pytest.mark.parametrize("name", list(UNREADABLE))
def test_what_is_no_text_is_said_so(load: Load, name: str) -> None:
    """Each has its sentence; none is a traceback, and none takes long."""
    data, sentence = UNREADABLE[name]
    with pytest.raises(JobFileError) as caught:
        load(data)
    assert str(caught.value) == sentence


def test_a_missing_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy names the file that was most likely meant, or what the folder holds."""
    monkeypatch.chdir(tmp_path)

    def sentence(path: str) -> str:
        with pytest.raises(JobFileError) as caught:
            load_job(path)
        return str(caught.value)

    assert sentence("job.yaml") == (
        "job.yaml: there is no such file\n  → give the path of a job file (.yaml or .json)"
    )
    Path("spectral.yaml").touch()
    assert sentence("spectrl.yml") == (
        "spectrl.yml: there is no such file\n  → did you mean spectral.yaml?"
    )
    assert sentence("x.yaml") == "x.yaml: there is no such file\n  → . holds spectral.yaml"
    assert sentence("jobs/x.yaml") == (
        "jobs/x.yaml: there is no such file\n  → there is no folder jobs either"
    )
    Path("folder").mkdir()
    assert sentence("folder") == "folder: this is a folder\n  → name the job file in it"
    assert sentence("spectral.yaml/x") == "spectral.yaml/x: the file can't be read: Not a directory"


def document(text: str) -> Any:
    """The values of a YAML text."""
    node, _ = parse(text, lambda line, column: Place(0, line, column, f"{line}"))
    return plain(node)


YAML_1_2 = {
    "on": "on",
    "off": "off",
    "yes": "yes",
    "no": "no",
    "y": "y",
    "true": True,
    "True": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "''": "",
    "1e-3": 0.001,
    "1E5": 100000.0,
    "-.5": -0.5,
    "5.": 5.0,
    "+12": 12,
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "1_000": "1_000",
    "1:30": "1:30",
    "2026-01-01": "2026-01-01",
    "1.2.3": "1.2.3",
    "0b1": "0b1",
    "'1'": "1",
    "!!str 1": "1",
    "1e": "1e",
    "=": "=",
}


@pytest.mark.parametrize("text", list(YAML_1_2))
def test_scalars_are_those_of_yaml_1_2(text: str) -> None:
    """The traps of YAML 1.1 are off: words, dates, octals and sexagesimals."""
    value = document(f"key: {text}")["key"]
    assert (value, type(value)) == (YAML_1_2[text], type(YAML_1_2[text]))


def test_anchors_and_merges(load: Load) -> None:
    """Anchors may be repeated and merged; what stands beside a merge wins."""
    job = load(
        JOB + "parameters:\n  a: &a {x: 1, y: 2}\n  b: *a\n  c: {<<: *a, y: 3}\n"
        "  d: {<<: [{x: 7}, *a]}\n"
    ).job
    one_two = {"x": 1, "y": 2}
    assert job.parameters == {
        "a": one_two,
        "b": one_two,
        "c": {"x": 1, "y": 3},
        "d": {"x": 7, "y": 2},
    }


def test_a_byte_order_mark_and_windows_line_ends_are_fine(load: Load) -> None:
    """Editors write them, and they mean nothing."""
    data = b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode()
    assert load(data).job == load(JOB).job


def test_json_is_known_by_its_name_or_by_its_content(load: Load) -> None:
    """The same job in all spellings has one digest."""
    data = {"name": "demo", "command": ["ls"], "parameters": {"b": 1, "a": [1.5, None, True]}}
    yaml = JOB + "parameters: {a: [1.5, null, true], b: 1}\n"
    texts = [json.dumps(data), json.dumps(data, indent="\t")]
    jobs = [load(text, name=name).job for text in texts for name in ("job.json", "job", "j.yaml")]
    assert {job.digest() for job in jobs} == {load(yaml).job.digest()}


KEYS = st.text(max_size=80)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


@given(data=st.dictionaries(KEYS, VALUES, max_size=4), indent=st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json(data: dict[str, Any], indent: int | str | None) -> None:
    """Whatever JSON holds comes back as the JSON parser gives it, from any spelling."""
    import flyback.spec.document as module

    for ascii_only in (True, False):
        text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
        at = lambda line, column: Place(0, line, column, "")  # noqa: E731  # as short as it gets
        node, problems = parse(module._checked_json(text, at), at)
        assert (plain(node), problems) == (data, [])


@given(text=st.text() | st.text(alphabet=" \n\t-:?[]{}&*!|>'\"%@#,a1.<=\\~", max_size=40))
def test_no_text_is_a_traceback(text: str) -> None:
    """Any text is a document or a JobFileError that says where."""
    try:
        document(text)
    except JobFileError as error:
        told = error
    else:
        return
    assert re.fullmatch(r"\d+", told.where)
    assert told.what


@given(data=st.binary(max_size=200))
def test_no_file_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any file is a job or a JobFileError."""
    path = tmp_path_factory.getbasetemp() / "job.yaml"
    path.write_bytes(data)
    with pytest.raises(JobFileError):
        load_job(path)
