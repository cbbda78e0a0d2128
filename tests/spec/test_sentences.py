"""Every sentence that a wrong job file, override or settings file makes a person read.

`golden/sentences.txt` holds documents and sentences side by side: a heading `=== what is wrong`,
with the file's name in brackets where it is not job.yaml; the document, where ⇥ is a tab; `--- `
and what follows the file on the command line; `>>>` and the sentence. Where they differ, the test
leaves the file as it would be, to be read and copied over.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flyback.errors import JobFileError
from flyback.spec.settings import load_settings

GOLDEN = Path(__file__).parent / "golden" / "sentences.txt"
CASE = re.compile(
    r"=== (?P<title>[^\n(]*[^\n( ])(?: \((?P<name>[^)]*)\))?\n(?P<text>.*?)"
    r"(?:^--- (?P<words>[^\n]*)\n)?^>>>\n(?P<sentence>.*)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Case:
    """One mistake."""

    head: str
    title: str
    name: str
    text: str
    words: tuple[str, ...]

    @property
    def preset(self) -> str | None:
        """The preset that the command line names."""
        return self.words[1] if self.words[:1] == ("--preset",) else None

    @property
    def overrides(self) -> tuple[str, ...]:
        """The words after it."""
        return self.words[2:] if self.preset else self.words


def cases() -> list[Case]:
    """What the golden file holds, without the sentences."""
    found = []
    for block in re.split(r"(?m)^(?==== )", GOLDEN.read_text(encoding="utf-8"))[1:]:
        match = CASE.fullmatch(block)
        assert match, block
        found.append(
            Case(
                head=block[: match.start("sentence")],
                title=match["title"],
                name=match["name"] or "job.yaml",
                text=match["text"].replace("⇥", "\t"),
                words=tuple(shlex.split(match["words"] or "")),
            )
        )
    return found


@pytest.fixture
def around(tmp_path: Path) -> Path:
    """The folder of the job file, with what the cases name in it."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").touch()
    (tmp_path / "requirements.txt").touch()
    return tmp_path


def sentence(case: Case, around: Path, load: Callable[..., Any]) -> str:
    """What a person reads."""

    def read() -> None:
        if case.name == "flyback.toml":
            (around / case.name).write_text(case.text)
            load_settings(Path())
        else:
            load(case.text, *case.overrides, preset=case.preset, name=case.name)

    with pytest.raises(JobFileError) as caught:
        read()
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(around), "<folder>")


def test_sentences(around: Path, load: Callable[..., Any]) -> None:
    """The sentences are these, compared whole."""
    told = "".join(f"{case.head}{sentence(case, around, load)}\n\n" for case in cases())
    if told.rstrip() + "\n" != GOLDEN.read_text(encoding="utf-8"):
        (around / "sentences.txt").write_text(told.rstrip() + "\n", encoding="utf-8")
    assert told.rstrip() + "\n" == GOLDEN.read_text(encoding="utf-8"), around / "sentences.txt"
