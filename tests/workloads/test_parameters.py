"""Typed parameters: every mistake gets its sentence, every value its type."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.errors import UserError
from flyback.workloads.parameters import (
    ParameterError,
    describe,
    parameter,
    parse_words,
    resolve,
    suggestion,
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One field of each kind."""

    size: int = parameter(8, "how many")
    share: float = parameter(0.5, "which part")
    limit: float | None = parameter(None, "at most")
    kind: Literal["hann", "rectangular"] = parameter("hann", "which")
    loud: bool = parameter(False, "whether")
    name: str = parameter("a", "what")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": 1.5}, "parameters.size: an integer is expected, not 1.5"),
        ({"size": True}, "parameters.size: an integer is expected, not True"),
        ({"size": "8"}, "parameters.size: an integer is expected, not '8'"),
        ({"size": None}, "parameters.size: an integer is expected, not None"),
        ({"share": "half"}, "parameters.share: a number is expected, not 'half'"),
        ({"share": float("nan")}, "parameters.share: a finite number is expected, not nan"),
        ({"limit": float("inf")}, "parameters.limit: a finite number is expected, not inf"),
        ({"loud": 1}, "parameters.loud: true or false is expected, not 1"),
        ({"name": 3}, "parameters.name: text is expected, not 3"),
        (
            {"kind": "rect"},
            (
                "parameters.kind: 'rect' is not possible\n"
                "  → did you mean rectangular? there are: hann, rectangular"
            ),
        ),
        (
            {"sizes": 3},
            (
                "parameters.sizes: there is no such parameter\n"
                "  → did you mean size? there are: kind, limit, loud, name, share, size"
            ),
        ),
        (
            {"qqq": 3},
            (
                "parameters.qqq: there is no such parameter\n"
                "  → there are: kind, limit, loud, name, share, size"
            ),
        ),
    ],
)
def test_a_wrong_value_gets_its_sentence(values: dict[str, Any], sentence: str) -> None:
    """Name, what is expected, what was given; for names and choices, the nearest one."""
    with pytest.raises(ParameterError) as caught:
        resolve(Example, values)
    assert str(caught.value) == sentence
    assert caught.value.parameter == next(iter(values))
    assert caught.value.exit_code == 2


def test_right_values_are_taken_and_the_rest_are_defaults() -> None:
    """An integer serves as a number; null where the type allows it."""
    resolved = resolve(Example, {"share": 1, "limit": None, "kind": "rectangular"})
    assert dataclasses.asdict(resolved) == {
        "size": 8,
        "share": 1.0,
        "limit": None,
        "kind": "rectangular",
        "loud": False,
        "name": "a",
    }
    assert isinstance(resolved.share, float)


def test_parameters_document_themselves() -> None:
    """Each has a default, a readable kind and a sentence."""
    documented = {item.name: item for item in describe(Example)}
    assert documented["limit"].kind == "a number or null"
    assert documented["kind"].kind == "hann | rectangular"
    assert documented["size"].default == 8
    assert documented["size"].help == "how many"


def test_words_are_json_objects_and_pairs_later_ones_win() -> None:
    """What the agent passes as JSON and what a person types mix."""
    words = ['{"size": 4, "kind": "hann"}', "size=16", "name=a=b", "limit=null", "loud=true"]
    assert parse_words(words) == {
        "size": 16,
        "kind": "hann",
        "name": "a=b",
        "limit": None,
        "loud": True,
    }


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("size", "'size' is neither key=value nor a JSON object"),
        ("=3", "'=3' is neither key=value nor a JSON object"),
        ('{"size": }', "not a JSON object: Expecting value at character 10"),
    ],
)
def test_a_word_that_is_neither_gets_its_sentence(word: str, part: str) -> None:
    """With an example of what to write."""
    with pytest.raises(UserError, match="write for example") as caught:
        parse_words([word])
    assert part in str(caught.value)


@given(st.text(), st.sets(st.text(min_size=1), min_size=1))
def test_a_suggestion_always_lists_what_there_is(word: str, options: set[str]) -> None:
    """Whatever was typed, the reader sees every possibility."""
    assert suggestion(word, options).endswith(f"there are: {', '.join(sorted(options))}")
