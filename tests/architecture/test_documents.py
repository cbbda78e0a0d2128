"""The documents are true: links lead somewhere, commands exist, examples load."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from flyback.cli.main import VERBS, cli

LEFT_BY_TOOLS = {"__pycache__", "build", "dist", "runs"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bash", "console")
# Homes and mounts of somebody's machine have no place in a product's files.
LOCAL = re.compile(
    r"(?<![\w.}/-])(/home/(?!ubuntu\b)\w|/(?:Users|root|work|workspace|mnt)/\w)"
    r"|C:\\Users"
)


def own_files(root: Path) -> Iterator[Path]:
    """Every file of the project, without what git ignores."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = parts[0].startswith(".") and parts[0] not in (".ci", ".gitignore", ".github")
        if path.is_file() and not hidden and not LEFT_BY_TOOLS & set(parts):
            yield path


def documents(root: Path) -> list[Path]:
    """Every Markdown page."""
    return [path for path in own_files(root) if path.suffix == ".md"]


def anchors(page: str) -> set[str]:
    """The fragments that a page's headings can be reached by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def commands(page: str) -> Iterator[list[str]]:
    """The `flyback …` lines of a page's shell blocks, split as a shell does."""
    for language, block in FENCE.findall(page):
        if language in SHELLS:
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words[:1] == ["flyback"]:
                    yield words[1:]


def option_names(command: click.Command) -> set[str]:
    """Every spelling of every option, `--help` included."""
    context = click.Context(command)
    return {
        name
        for parameter in command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Follow verbs down from `flyback`; the command and the words that are left."""
    command: click.Command = cli
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no verb {words[0]!r}"
        command, words = found, words[1:]
    return command, words


def test_links_lead_somewhere(root: Path) -> None:
    """Every relative link of every page names a file that exists, and a heading in it."""
    broken = []
    for page in documents(root):
        for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            name, _, fragment = target.partition("#")
            if "://" in name or name.startswith("mailto:"):
                continue
            goal = (page.parent / name).resolve() if name else page
            if not goal.exists() or (fragment and fragment not in anchors(goal.read_text())):
                broken.append(f"{page.relative_to(root)}: {target}")
    assert broken == []


def test_commands_in_the_documents_exist(root: Path) -> None:
    """Each `flyback` line of a shell block names a verb, and only options that it has."""
    seen = 0
    for page in documents(root):
        for words in commands(page.read_text(encoding="utf-8")):
            command, rest = resolve(words)
            wrong = {w.partition("=")[0] for w in rest if w.startswith("-")} - option_names(command)
            assert not wrong, f"{page.relative_to(root)}: flyback {' '.join(words)}"
            seen += 1
    assert seen > 0


def test_make_targets_in_the_documents_exist(root: Path) -> None:
    """Each `make` line of a shell block names a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        words[1]
        for page in documents(root)
        for language, block in FENCE.findall(page.read_text(encoding="utf-8"))
        if language in SHELLS
        for words in map(str.split, block.splitlines())
        if words[:1] == ["make"] and len(words) > 1
    }
    assert "demo" in named
    assert named <= targets


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented_and_explains_itself(root: Path, verb: str) -> None:
    """The README names the verb, its help says what it does, and so does each of its options."""
    assert f"`flyback {verb}" in (root / "README.md").read_text(encoding="utf-8")
    command, _ = resolve([verb])
    inner = [] if not isinstance(command, click.Group) else command.list_commands(None)  # type: ignore[arg-type]  # click's own default ignores it
    for each in [command, *(resolve([verb, name])[0] for name in inner)]:
        assert each.help
        silent = [
            parameter.name
            for parameter in each.params
            if isinstance(parameter, click.Option) and not parameter.help
        ]
        assert silent == []


def test_no_file_speaks_of_somebodys_machine(root: Path) -> None:
    """A path of one workplace means nothing to the reader."""
    found = []
    for path in own_files(root):
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(root)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if LOCAL.search(line)
        ]
    assert found == []
