"""The cloud that most tests of this room begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flyback.api.wiring import Cloud, local_home, start_rehearsal


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with nothing in it."""
    started = start_rehearsal(local_home() / "rehearsal" / "cloud", region="us-east-1")
    assert started.emulated is not None
    yield started
    started.emulated.stop()
