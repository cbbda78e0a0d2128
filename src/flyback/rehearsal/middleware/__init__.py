"""What a request passes through, outermost first: one concern each.

Takes: a named call. Gives: an answer, from the first middleware that has one. Never: knows which
middleware stands before or behind it.
"""

from __future__ import annotations

from flyback.rehearsal.middleware.authorizer import Authorizer
from flyback.rehearsal.middleware.faults import Faults
from flyback.rehearsal.middleware.gaps import Gaps
from flyback.rehearsal.middleware.journal import Journal
from flyback.rehearsal.middleware.moto import Moto

__all__ = ["ORDER", "Authorizer", "Faults", "Gaps", "Journal", "Moto"]

ORDER: tuple[type, ...] = (Journal, Authorizer, Faults, Gaps, Moto)
