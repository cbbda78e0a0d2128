"""Files on their way to the disk: each comes back, with what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyback.store import flush
from flyback.store.flush import Flusher


@pytest.mark.parametrize("whole", [True, False])
def test_each_file_comes_back_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    """All at once where the system can, one by one elsewhere."""
    if not whole:
        monkeypatch.setattr(flush, "_syncfs", lambda: None)
    files = [(tmp_path / str(number)).open("wb") for number in range(5)]
    flusher: Flusher[int] = Flusher(lambda number: files[number].fileno())
    for number in range(5):
        flusher.take(number)
    flusher.close()
    assert sorted(flusher.flushed()) == [(number, None) for number in range(5)]
    for file in files:
        file.close()


def test_what_can_not_be_flushed_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    """A descriptor that is no file: its own error, and nothing after it waits for ever."""
    with (tmp_path / "file").open("wb") as file:
        descriptors = {"bad": -1, "good": file.fileno()}
        flusher: Flusher[str] = Flusher(descriptors.__getitem__)
        flusher.take("bad")
        while not (found := flusher.flushed()):
            pass
        ((item, error),) = found
        assert (item, isinstance(error, OSError)) == ("bad", True)
        flusher.take("good")
        flusher.close()
    assert flusher.flushed() == [("good", None)]


@pytest.mark.parametrize(
    ("release", "tells"),
    [
        ("5.8.0", True),
        ("6.1.0-28-amd64", True),
        ("5.7.19", False),
        ("4.14.336", False),
        ("x", False),
    ],
)
def test_old_kernels_are_not_trusted(release: str, *, tells: bool) -> None:
    """Before 5.8 a flush of a whole file system is silent about errors."""
    assert flush._tells_errors(release) is tells
