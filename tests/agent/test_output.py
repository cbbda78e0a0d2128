"""The job's output: its last line, its tail, and the batches in which its lines travel."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flyback.agent.output import LastLine, tail
from flyback.agent.shipping import batches

_chunks = st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"a\n", b"\n\n"]), max_size=30)


@given(_chunks)
def test_the_last_line_does_not_depend_on_how_it_arrives(chunks: list[bytes]) -> None:
    """However the bytes are cut, the last line that is not blank is the one of the whole."""
    line = LastLine()
    for chunk in chunks:
        line.feed(chunk)
    whole = [part for part in b"".join(chunks).split(b"\n") if part.strip()]
    expected = whole[-1].strip().decode("utf-8", "replace") if whole else ""
    assert line.value() == expected


def test_an_endless_line_is_no_result() -> None:
    """A line over 16 MiB is dropped, so that a job can't fill the agent's memory."""
    line = LastLine()
    line.feed(b'{"ok": 1}\n')
    for _ in range(20):
        line.feed(b"x" * 2**20)
    line.feed(b"\n")
    assert line.value() == '{"ok": 1}'


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60), max_size=200))
def test_batches_carry_every_line_once(lines: list[str]) -> None:
    """The lines of all batches together are the chunk's, and the sizes add up to it."""
    chunk = "\n".join(lines).encode()
    sent = list(batches(chunk))
    assert sum(size for _, size in sent) == len(chunk)
    expected = [part.decode() or " " for part in chunk.splitlines()]
    assert [line for batch, _ in sent for line in batch] == expected


def test_batches_stay_within_what_one_call_may_carry() -> None:
    """At most 10,000 events and 1,048,576 bytes with 26 for each; long lines go in pieces."""
    chunk = b"y\n" * 25_000 + b"x" * 600_000 + b"\n" + b"z" * 250_000 + b"\n"
    sent = list(batches(chunk))
    assert sum(size for _, size in sent) == len(chunk)
    for batch, _ in sent:
        assert len(batch) <= 10_000
        assert sum(len(line.encode()) + 26 for line in batch) <= 1_048_576
        assert all(0 < len(line.encode()) <= 256_000 for line in batch)


def test_the_tail_is_whole_lines(tmp_path: Path) -> None:
    """At most so many lines and bytes; a line that does not fit whole is left out."""
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {number}\n" for number in range(2000)))
    assert tail(log).splitlines() == [f"line {number}" for number in range(1950, 2000)]
    assert tail(log, 50, 25).splitlines() == ["line 1998", "line 1999"]
    log.write_text("")
    assert tail(log) == ""
