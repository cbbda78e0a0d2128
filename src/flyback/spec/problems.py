"""Problems: what is wrong in a document that a person wrote, gathered and then told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from flyback.errors import JobFileError
from flyback.spec.locate import Place

__all__ = ["Problem", "closest", "listed", "tell"]


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Args:
        place: Where it was written.
        field: The field's path, `resources.gpu_memory_gib`; empty for the whole document.
        what: What is wrong.
        remedy: What to write instead.
    """

    place: Place
    field: str
    what: str
    remedy: str

    @property
    def sentence(self) -> str:
        return f"{self.field}: {self.what}" if self.field else self.what


def tell(problems: Iterable[Problem], document: str) -> NoReturn:
    """Raise one error that tells every problem, in the order of the lines.

    Raises:
        JobFileError: always.
    """
    first, *others = sorted(dict.fromkeys(problems), key=lambda problem: problem.place)
    if not others:
        raise JobFileError(first.sentence, where=first.place.label, remedy=first.remedy)
    told = [f"{1 + len(others)} problems"]
    for problem in (first, *others):
        told.append(f"  {problem.place.label}: {problem.sentence}")
        if problem.remedy:
            told.append(f"    → {problem.remedy}")
    raise JobFileError("\n".join(told), where=document)


def closest(word: str, known: Iterable[str], cutoff: float = 0.65) -> str | None:
    """The known word that a person most likely meant, if any is close."""
    by_fold = {name.casefold().replace("-", "_"): name for name in known}
    wanted = word.casefold().replace("-", "_")
    if wanted in by_fold:
        return by_fold[wanted]
    found = difflib.get_close_matches(wanted, by_fold, n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else None


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence lists them: `a, b and c`."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
