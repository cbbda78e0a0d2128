from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.results.figures import (
    format_duration,
    format_margin,
    format_microseconds,
    format_quantity,
    format_usd,
    format_value,
)


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0"),
        (0.00001, "<$0.0001"),
        (0.0062, "$0.0062"),
        (0.17266, "$0.1727"),
        (0.99999, "$1.00"),
        (1, "$1.00"),
        (1234.5, "$1,234.50"),
        (-0.05, "-$0.0500"),
        (-0.00001, "-<$0.0001"),
    ],
)
def test_dollars_are_read_in_the_unit_of_their_size(usd: float, text: str) -> None:
    """Runs cost cents, so their items are shown to the hundredth of one."""
    assert format_usd(usd) == text


def test_a_difference_has_its_sign() -> None:
    """Dearer and cheaper can be told apart; equal has none."""
    found = [format_usd(usd, signed=True) for usd in (0.05, -0.05, 0)]
    assert found == ["+$0.0500", "-$0.0500", "$0"]


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_rounding_keeps_the_order(one: float, other: float) -> None:
    """What is shown as more was more."""

    def shown(usd: float) -> float:
        text = format_usd(usd)
        return 0.00001 if text.startswith("<") else float(text.strip("$").replace(",", ""))

    if shown(one) < shown(other):
        assert one < other


@pytest.mark.parametrize(
    ("margin", "text"),
    [(None, "n/a"), (255.9, "255x"), (1234.5, "1,234x"), (42.19, "42.1x"), (0.9999, "0.99x")],
)
def test_a_margin_never_looks_better_than_it_is(margin: float | None, text: str) -> None:
    """Cut off, not rounded: below 1 stays below 1."""
    assert format_margin(margin) == text


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0, "0 s"),
        (50 / 3600, "50 s"),
        (160 / 3600, "2 min 40 s"),
        (5 / 60, "5 min"),
        (34 / 60, "34 min"),
        (1, "1 h"),
        (2.5, "2 h 30 min"),
        (59.6 / 60, "1 h"),
    ],
)
def test_a_duration_has_the_digits_that_matter(hours: float, text: str) -> None:
    """Seconds for a boot, minutes for a run."""
    assert format_duration(hours) == text


def test_small_figures() -> None:
    """Times, quantities and values as a table shows them."""
    assert format_microseconds(20_039) == "20.0"
    assert format_microseconds(None) == "n/a"
    assert [format_quantity(q) for q in (0, 0.5667, 0.08, 12345.6)] == [
        "0",
        "0.5667",
        "0.08",
        "12,346",
    ]
    assert [format_value(v) for v in (None, True, 1 / 3, 7, "T4")] == [
        "n/a",
        "yes",
        "0.33333",
        "7",
        "T4",
    ]
