"""Secrets do not get into the log, however a job prints them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.agent.redaction import Redactor, forms
from flyback.errors import AccessDeniedError, NotFoundError

Shell = Callable[[str], tuple[str, ...]]
_secrets = st.lists(st.text("ab", min_size=4, max_size=9), min_size=1, max_size=3)
_printed = st.lists(st.text("abc\n", max_size=12), max_size=12)


@given(_secrets, _printed, st.data())
def test_no_cut_lets_a_secret_through(
    secrets: list[str], pieces: list[str], data: st.DataObject
) -> None:
    """Cut anywhere, the stream holds none of them, and the rest of it in its order."""
    redactor = Redactor(forms(secrets))
    whole = "".join([*pieces, data.draw(st.sampled_from(secrets))]).encode()
    shown = b""
    at = 0
    while at < len(whole):
        size = data.draw(st.integers(1, 7))
        shown += redactor.feed(whole[at : at + size])
        at += size
    shown += redactor.finish()
    assert shown == Redactor(forms(secrets)).feed(whole + b"c")[:-1]
    assert not any(secret.encode() in shown for secret in secrets)
    assert b"***" in shown
    assert whole.count(b"c") == shown.count(b"c")


def test_a_secret_is_known_in_the_forms_that_tools_print() -> None:
    """Escaped as JSON does, line by line, with and without the line end it was stored with."""
    value = 'first "line"\nzweite Zeile é\n'
    redactor = Redactor(forms([value]))
    for text in (value, json.dumps({"v": value}), 'log: first "line"', "zweite Zeile é"):
        shown = Redactor(forms([value])).feed(text.encode()) + redactor.finish()
        assert b"line" not in shown
        assert b"Zeile" not in shown
    assert json.loads(Redactor(forms([value])).feed(json.dumps({"v": value}).encode())) == {
        "v": "***"
    }


def test_what_is_too_short_to_hide_is_left() -> None:
    """One to three characters would be everywhere; nothing is held back for them either."""
    assert forms(["abc", ""]) == ()
    assert Redactor(()).feed(b"abc") == b"abc"


def test_a_printed_secret_reaches_neither_log_nor_result(machine: Any, shell: Shell) -> None:
    """On stdout and on stderr, in pieces, in the result's line, in the marker: three stars."""
    machine.launch(
        command=shell(
            'printf "out %s" "${TOKEN%?????}"; printf "%s\\n" "${TOKEN#"${TOKEN%?????}"}";'
            'echo "err $TOKEN" >&2; echo "{\\"token\\": \\"$TOKEN\\", \\"size\\": ${#TOKEN}}"'
        ),
        secrets={"TOKEN": "ssm:/flyback/token"},
    )
    assert machine.run() == 0
    value = "value of ssm:/flyback/token"
    stored = {key: machine.store.get(key).decode() for key in machine.store.written}
    assert [key for key, text in stored.items() if value in text] == []
    log = machine.text(machine.keys().log).splitlines()
    assert sorted(log) == ["err ***", "out ***", '{"token": "***", "size": 27}']
    (row,) = machine.rows()
    assert row.values == {"token": "***", "size": 27}


def test_set_up_does_not_see_secrets(machine: Any, shell: Shell) -> None:
    """Only the job's own command has them in its environment."""
    machine.launch(
        setup=(shell('echo "set-up has [$TOKEN]"'),),
        command=shell('echo "{\\"size\\": ${#TOKEN}}"'),
        secrets={"TOKEN": "ssm:/flyback/token"},
    )
    assert machine.run() == 0
    assert "set-up has []" in machine.text(machine.keys().log)
    (row,) = machine.rows()
    assert row.values == {"size": 27}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NotFoundError("ParameterNotFound"), "there is no secret ssm:/flyback/token"),
        (AccessDeniedError("AccessDenied"), "the machine may not read ssm:/flyback/token"),
        (" ", "ssm:/flyback/token is empty"),
    ],
)
def test_a_secret_that_is_not_to_be_had_fails_the_run(
    machine: Any, shell: Shell, answer: Exception | str, said: str
) -> None:
    """FAILURE in set-up, with a sentence and a remedy; nothing of the job was started."""

    def secret(_: str) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    machine.secret = secret
    machine.launch(
        setup=(shell("echo started"),),
        command=shell("echo started"),
        secrets={"TOKEN": "ssm:/flyback/token"},
    )
    assert machine.run() == 1
    marker = machine.marker()
    assert (marker.kind, marker.reason) == ("FAILURE", "setup")
    assert said in marker.log_tail
    assert "secrets.TOKEN" in marker.log_tail
    assert "→" in marker.log_tail
    assert "started" not in marker.log_tail
