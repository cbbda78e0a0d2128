"""What may be named as a service or an operation is what flyback calls."""

from __future__ import annotations

import re
from pathlib import Path

import flyback
from flyback.aws.listings import LISTINGS
from flyback.aws.operations import SERVICES, operations

_SOURCES = Path(flyback.__file__).parent
_CALLED = re.compile(r"\.client\(\s*\"([a-z0-9-]+)\"")


def test_services_are_those_that_clients_are_made_for() -> None:
    """Every service that a client is made for, outside the rehearsal, and those that are swept."""
    called = {
        name
        for path in _SOURCES.rglob("*.py")
        if "rehearsal" not in path.relative_to(_SOURCES).parts
        for name in _CALLED.findall(path.read_text())
    }
    assert called | {listing.service for listing in LISTINGS} == set(SERVICES)


def test_operations_are_the_apis_own() -> None:
    """Each service has some, named as its API names them."""
    assert all(operations(service) for service in SERVICES)
    assert {"CreateFleet", "TerminateInstances"} <= set(operations("ec2"))
    assert "PutObject" in operations("s3")
