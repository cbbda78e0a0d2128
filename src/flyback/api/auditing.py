"""What of the granted permissions a job uses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.api.rehearsing import Rehearsal, rehearse
from flyback.api.verbs import Options
from flyback.audit.iam import parse_policy
from flyback.audit.iam.footprint import Place, Wanted, smallest
from flyback.audit.iam.grants import Verdict, judge_grants, too_wide
from flyback.errors import UserError

__all__ = ["Footprint", "PrincipalUse", "footprint", "read_policy"]


@dataclass(frozen=True, kw_only=True)
class PrincipalUse:
    """One principal: what it asked for, and what it was granted.

    Args:
        principal: The role's or user's name; `you` for who deploys and runs.
        needed: The smallest permissions that answer what it asked.
        used: Grants that the job needs.
        implicit: Grants that other programs on the machine need, each with its reason.
        unused: Grants that this job does not need; another may.
        findings: Grants that are wider than they need be, and refused requests.
    """

    principal: str
    needed: tuple[Wanted, ...]
    used: tuple[str, ...]
    implicit: tuple[str, ...]
    unused: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Used against granted, principal by principal."""

    job: str
    principals: tuple[PrincipalUse, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """Of all principals."""
        return tuple(text for item in self.principals for text in item.findings)


def read_policy(path: Path) -> Mapping[str, Any]:
    """An identity's policy from a file.

    Raises:
        UserError: the file can't be read, is no JSON, or is a policy that AWS would refuse.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{error.strerror}", where=str(path), remedy="name a policy") from error
    except ValueError as error:
        raise UserError(
            f"it is no JSON: {error}",
            where=str(path),
            remedy="`flyback doctor --policy` prints one",
        ) from error
    parse_policy(document, path.name)
    found: Mapping[str, Any] = document
    return found


def footprint(
    job: str | Path,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    options: Options | None = None,
) -> Footprint:
    """Rehearse a job, and set what it uses against what is granted.

    Raises:
        UserError: something about the job is wrong, or an operation was called of which nobody has
            said what it needs.
    """
    chosen = options or Options(cloud="rehearsal")
    shown = rehearse(job, overrides=overrides, preset=preset, options=chosen)
    region = shown.certificate.region
    place = Place(name=chosen.name, account=shown.certificate.account, region=region)
    return _footprint_of(shown, str(job), place)


def _footprint_of(shown: Rehearsal, job: str, place: Place) -> Footprint:
    """Used against granted, from a rehearsal.

    Raises:
        UserError: an operation was called of which nobody has said what it needs.
    """
    asked = [item for item in shown.asked if not item.via or item.via == "cloudformation"]
    verdicts = judge_grants(shown.policies, shown.asked)
    holders = dict.fromkeys(item.holder for item in asked)
    users = []
    for holder in holders:
        own = [item for item in asked if item.holder == holder]
        granted = [item for item in verdicts if item.grant.policy.holder == holder]
        wide = [text for item in shown.policies if item.holder == holder for text in too_wide(item)]
        refused = [f"refused: {item.action} on {item.resource}" for item in own if not item.allowed]
        users.append(
            PrincipalUse(
                principal=_name(holder),
                needed=smallest(own, place),
                used=tuple(item.grant.short for item in granted if item.noticed),
                implicit=tuple(_implicit(granted)),
                unused=tuple(item.grant.short for item in granted if item.survives),
                findings=(*wide, *dict.fromkeys(refused)),
            )
        )
    return Footprint(job=job, principals=tuple(users))


def _name(holder: str) -> str:
    if holder.endswith((":root", ":user/deployer")):
        return "you"
    return holder.rpartition(":")[2]


def _implicit(granted: list[Verdict]) -> Iterator[str]:
    for item in granted:
        if item.implicit is not None and not item.noticed:
            yield f"{item.grant.short} ({item.implicit.who})"
