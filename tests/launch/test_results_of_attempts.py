"""What a run's attempts finished is seen, however the run ended."""

from __future__ import annotations

from pathlib import Path

from flyback.launch.records import Records
from flyback.spec.codec import dumps
from flyback.spec.result import Result
from flyback.store.file import FileStore


def _rows(*cells: int) -> bytes:
    return b"".join(f"{dumps(_row(cell))}\n".encode() for cell in cells)


def _row(cell: int) -> Result:
    return Result(run_id="r", cell=cell, status="ok")


def test_a_final_interruption_hides_no_finished_cell(tmp_path: Path) -> None:
    """Without the run's own results, those of the last attempt that left any are told."""
    here, bucket = FileStore(tmp_path / "here"), FileStore(tmp_path / "bucket")
    records = Records("r", here, bucket)
    assert records.results() == ()
    bucket.put(records.paths.attempt(2).results, _rows(0))
    bucket.put(records.paths.attempt(10).results, _rows(0, 1))
    bucket.put(records.paths.attempt(11).log, b"cut off\n")
    assert [row.cell for row in records.results()] == [0, 1]
    bucket.put(records.paths.results, _rows(0, 1, 2))
    assert [row.cell for row in records.results()] == [0, 1, 2]
