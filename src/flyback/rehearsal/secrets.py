"""Stand-ins for the secrets of a job: an emulated account has none of the user's."""

from __future__ import annotations

import random
from collections.abc import Iterable

from flyback.rehearsal.cloud import RehearsalCloud

__all__ = ["plant"]


def plant(cloud: RehearsalCloud, references: Iterable[str], seed: int) -> None:
    """Store a made-up value under each `ssm:/name` and `secretsmanager:name`, as a user would."""
    for reference in sorted(set(references)):
        kind, _, name = reference.partition(":")
        chance = random.Random(f"{seed}/{reference}")  # noqa: S311  # no secret
        value = f"stand-in-{chance.getrandbits(128):032x}"
        client = cloud.clients(kind, cloud.region)
        if kind == "ssm":
            client.put_parameter(Name=name, Value=value, Type="SecureString")
        else:
            client.create_secret(Name=name, SecretString=value)
