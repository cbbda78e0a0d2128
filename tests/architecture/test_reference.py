"""The reference pages name what the code has: rooms, keys, files, exit codes, decisions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from flyback import errors
from flyback.api import plan
from flyback.spec.job import Input, JobSpec, Resources, SpotPolicy
from flyback.spec.load import load_job
from flyback.spec.paths import AttemptPaths, RunPaths
from flyback.workloads import registry

YAML_BLOCK = re.compile(r"^```yaml\n(name:.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE_OF_CODES = re.compile(r"^\| (\d+) \| ", re.MULTILINE)


def page(root: Path, name: str) -> str:
    """The text of one page."""
    return (root / name).read_text(encoding="utf-8")


def test_the_tree_in_the_readme_is_the_tree(root: Path, source: Path) -> None:
    """The README's annotated tree lists every room, once, and none that is not there."""
    tree = page(root, "README.md").partition("src/flyback/\n")[2].partition("```")[0]
    listed = re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)
    rooms = [path.parent.name for path in source.glob("*/__init__.py")]
    assert sorted(listed) == sorted(rooms)


@pytest.mark.parametrize(
    "name", ["README.md", "docs/decisions/0010-one-table-of-exit-codes.md"], ids=["readme", "0010"]
)
def test_the_exit_codes_are_those_of_the_errors(root: Path, name: str) -> None:
    """The table of exit codes has 0 and every code that an error carries, and no other."""
    kinds = [getattr(errors, kind) for kind in errors.__all__]
    codes = {0, *(kind.exit_code for kind in kinds)}
    assert {int(code) for code in TABLE_OF_CODES.findall(page(root, name))} == codes


@pytest.mark.parametrize("noun", [JobSpec, Resources, SpotPolicy, Input])
def test_every_key_of_a_job_file_is_documented(root: Path, noun: type) -> None:
    """The page on job files names each key of each section in a table of its own."""
    names = {f"| `{field.name}` |" for field in dataclasses.fields(noun)}
    text = page(root, "docs/job-file.md")
    assert {name for name in names if name not in text} == set()


def test_every_file_of_a_run_is_documented(root: Path) -> None:
    """The page on the run folder names each file that `RunPaths` can make."""
    run = RunPaths("r")
    keys = [
        *(getattr(run, name) for name, kind in vars(RunPaths).items() if _is_key(kind)),
        *(
            getattr(run.attempt(1), name)
            for name, kind in vars(AttemptPaths).items()
            if _is_key(kind)
        ),
    ]
    names = {key.rpartition("/")[2] for key in keys if key != run.prefix}
    text = page(root, "docs/run-folder.md")
    assert len(names) > 10
    assert {name for name in names if f" {name} " not in text} == set()


def _is_key(member: object) -> bool:
    return isinstance(member, property)


def test_decisions_are_numbered_and_have_their_three_parts(root: Path) -> None:
    """Pages count from 0001 without a gap, and each has context, decision and consequences."""
    pages = sorted((root / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in pages] == [f"{i:04}" for i in range(1, len(pages) + 1)]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert f"(decisions/{path.name})" in page(root, "docs/README.md")


def test_job_files_in_the_documents_load(root: Path, tmp_path: Path) -> None:
    """Every YAML block that is a job file passes every check, once its files are there."""
    (tmp_path / "requirements.lock").touch()
    seen = 0
    for name in ("README.md", "docs/job-file.md"):
        for number, block in enumerate(YAML_BLOCK.findall(page(root, name))):
            job = tmp_path / f"{Path(name).stem.lower()}-{number}.yaml"
            job.write_text(block)
            loaded = load_job(
                job,
                check_parameters=registry.check_parameters,
                workload_presets=registry.presets,
                workload_parameters=registry.parameter_names,
            )
            assert loaded.job.name
            seen += 1
    assert seen > 1


@pytest.mark.parametrize(
    "overrides", [(), ("resources.count=1", "resources.any_of=[g4dn.xlarge]")], ids=["cpu", "t4"]
)
def test_the_readme_names_the_price_that_plan_quotes(root: Path, overrides: Sequence[str]) -> None:
    """What a run costs is the first thing that a reader asks, so it must be true."""
    made = plan(root / "examples" / "spectral.yaml", overrides=overrides, preset="smoke")
    assert f"${made.quote_usd:.4f}" in page(root, "README.md")
