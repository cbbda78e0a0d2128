from __future__ import annotations

from collections.abc import Callable

import pytest

from flyback.results.table import as_text, result_table, results_view, with_missing
from flyback.spec.result import Result

Make = Callable[..., Result]
Screen = Callable[..., str]
Golden = Callable[[str, str], None]


def titles(*results: Result) -> list[str]:
    """Headings of the table."""
    return [column.name for column in result_table(results).columns]


def column(title: str, *results: Result) -> tuple[str, ...]:
    """The cells under one heading."""
    return next(c.cells for c in result_table(results).columns if c.name == title)


def sweep(result: Make) -> list[Result]:
    """Six cells: four good, one whose gate failed, one that never came."""
    nffts, overlaps = (1024, 4096, 16_384), (0.5, 0.75)
    cells = [{"nfft": nfft, "overlap": overlap} for nfft in nffts for overlap in overlaps]
    good = [
        result(cell, p50=20_039 * (cell + 1), n=600 if cell else 120, params=cells[cell])
        for cell in range(4)
    ]
    bad = result(
        4,
        params=cells[4],
        status="invalid",
        reason="SNR 91.2 dB is below 120 dB (chirp)",
        latency_ns=None,
        stream=None,
        accuracy={"metric": "snr_db", "value": 91.2, "threshold": 120.0, "passed": False},
    )
    found = with_missing([*good, bad], cells, "the run ended before this cell (deadline)")
    return list(found)


def test_a_sweep_is_this_table(result: Make, screen: Screen, golden: Golden) -> None:
    """Varying parameters, every status, and why each figure is missing, in 80 columns."""
    golden("sweep.txt", screen(results_view(sweep(result))))


def test_one_result_is_this_table(result: Make, screen: Screen, golden: Golden) -> None:
    """One cell: nothing varies, so its parameters stand below the table."""
    golden("single.txt", screen(results_view([result()])))


def test_plain_text_says_the_same(result: Make, golden: Golden) -> None:
    """Without a terminal's library."""
    text = as_text(result_table(sweep(result)))
    assert all(len(line) <= 80 for line in text.splitlines())
    golden("sweep-plain.txt", text)


def test_only_what_varies_is_a_column(result: Make) -> None:
    """The rest is said once."""
    table = result_table([result(0), result(1, params={"nfft": 4096})])
    assert [c.title for c in table.columns][:2] == ["cell", "nfft"]
    assert table.shared == (
        "spectral 1.0 · scipy 1.17.1 · float32 · Xeon · overlap 0.5, channels 2, window hann"
    )


def test_a_comparison_of_backends_has_them_in_a_column(result: Make) -> None:
    """What differs is never hidden in the caption."""
    numpy = result(1, backend={"name": "numpy", "version": "2.4.6"})
    assert column("backend", result(0), numpy) == ("scipy 1.17.1", "numpy 2.4.6")


def test_rows_come_in_cell_order(result: Make) -> None:
    """However they were written."""
    assert column("cell", result(2), result(0), result(1)) == ("0", "1", "2")


def test_a_missing_percentile_is_not_a_number(result: Make) -> None:
    """Too few samples: n/a, and the note says so."""
    few = result(n=120)
    assert column("p99 µs", few) == ("n/a",)
    assert column("margin p99", few) == ("n/a",)
    notes = result_table([few]).notes
    assert notes == ("n/a in cell 0: too few samples for that percentile",)


def test_missed_deadlines_are_told(result: Make) -> None:
    """A good median does not hide them."""
    late = result(stream={"misses": 7, "margin_p50": 2.0, "margin_p99": 0.8})
    assert result_table([late]).notes == ("cell 0: 7 of 600 too late",)


def test_a_failed_cell_has_its_row_and_its_reason(result: Make) -> None:
    """It is never left out, and never blank."""
    failed = result(1, status="error", reason="backend exploded", latency_ns=None, stream=None)
    table = result_table([result(0), failed])
    assert column("status", result(0), failed) == ("ok", "error")
    assert column("p50 µs", result(0), failed) == ("20.0", "n/a")
    assert table.notes == ("cell 1: error: backend exploded",)


def test_a_failure_without_a_reason_says_that(result: Make) -> None:
    """Silence is no reason."""
    table = result_table([result(status="skipped", latency_ns=None)])
    assert table.notes == ("cell 0: skipped: no reason was given",)


def test_cells_without_a_line_are_rows_too(result: Make) -> None:
    """A run that ended early shows what it did not do."""
    cells = [{"nfft": 1024}, {"nfft": 4096}, {"nfft": 8192}]
    found = with_missing([result(1)], cells, "deadline")
    assert [r.cell for r in found] == [0, 1, 2]
    assert [r.status for r in found] == ["error", "ok", "error"]
    assert found[2].params == {"nfft": 8192}


def test_values_of_a_command_become_columns(screen: Screen) -> None:
    """Any JSON: nested names with dots, lists as JSON, what is not there as n/a."""
    made = [
        Result(cell=0, values={"loss": 0.123456, "gpu": {"name": "T4"}, "sizes": [1, 2]}),
        Result(cell=1, values={"loss": 2, "converged": True}),
    ]
    table = result_table(made)
    assert [c.title for c in table.columns] == ["cell", "loss", "gpu.name", "sizes", "converged"]
    assert [c.cells for c in table.columns[1:]] == [
        ("0.12346", "2"),
        ("T4", "n/a"),
        ("[1, 2]", "n/a"),
        ("n/a", "yes"),
    ]
    assert "loss" in screen(results_view(made))


def test_a_command_without_measurements_has_no_empty_columns() -> None:
    """No latency, no margin, no gate: no such columns."""
    assert titles(Result(values={"loss": 1})) == ["cell", "loss"]


def test_a_gate_of_another_kind_keeps_its_name(result: Make) -> None:
    """Only an SNR is in dB."""
    other = result(accuracy={"metric": "max_rel_error", "value": 1.25e-07, "passed": True})
    assert column("max_rel_error", other) == ("1.25e-07",)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_what_does_not_fit_is_named(width: int, screen: Screen) -> None:
    """Columns that a narrow screen has no room for are told, not cropped."""
    names = [f"measurement_{number}" for number in range(8)]
    drawn = screen(results_view([Result(values=dict.fromkeys(names, 1.5))]), width)
    table, _, note = drawn.partition("too wide to show: ")
    missing = [name for name in names if name not in table]
    assert bool(missing) == (width < 200)
    if missing:
        assert " ".join(note.split()) == f"{', '.join(missing)}; results.jsonl has everything"


def test_no_results_are_said_to_be_none(screen: Screen) -> None:
    """An empty table would look like a bug."""
    assert screen(results_view([])) == "no result lines\n"


def test_markup_in_what_people_write_is_text(screen: Screen, result: Make) -> None:
    """Square brackets are no colour codes."""
    failed = result(status="error", reason="bad [red]shape[/red] [0]", latency_ns=None)
    assert "bad [red]shape[/red] [0]" in screen(results_view([failed]))
