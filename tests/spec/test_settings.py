"""flyback.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyback.errors import JobFileError
from flyback.spec.settings import Settings, load_settings

WHOLE = """\
engine = "local"
region = "eu-central-1"
cloud = "rehearsal"
profile = "team"
name = "sonar"

[tags]
project = "sonar"
environment = "dev"
owner = "lee@example.org"
cost_center = "7/a"
"""


def test_every_setting(tmp_path: Path) -> None:
    """A file with all keys is this; tags carry the names that they have in the account."""
    (tmp_path / "flyback.toml").write_text(WHOLE)
    assert load_settings(tmp_path) == Settings(
        engine="local",
        region="eu-central-1",
        cloud="rehearsal",
        profile="team",
        name="sonar",
        tags={
            "Project": "sonar",
            "Environment": "dev",
            "Owner": "lee@example.org",
            "CostCenter": "7/a",
        },
        source=tmp_path / "flyback.toml",
    )


def test_no_file_settles_nothing(tmp_path: Path) -> None:
    """Every setting is left to the job, a flag or the default."""
    assert load_settings(tmp_path) == Settings()
    assert Settings().engine is None


def test_the_first_folder_that_has_one_wins(tmp_path: Path) -> None:
    """The job file's folder comes before the current one; they are not mixed."""
    for name in ("job", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "flyback.toml").write_text('engine = "batch"\nname = "here"\n')
    assert load_settings(tmp_path / "job", tmp_path / "here").engine == "batch"
    (tmp_path / "job" / "flyback.toml").write_text('engine = "local"\n')
    settings = load_settings(tmp_path / "job", tmp_path / "here")
    assert (settings.engine, settings.name) == ("local", None)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"name = 'caf\xe9'", "{path}: the file is no UTF-8 text\n  → save it as UTF-8"),
        (
            b"[tags]\nowner = 'a'\n[tags]\n",
            "{path}:3: no TOML: cannot declare ('tags',) twice\n  → write `key = \"value\"`",
        ),
    ],
)
def test_what_is_no_toml_is_said_so(tmp_path: Path, data: bytes, sentence: str) -> None:
    """With the file, and the line where the parser names it."""
    path = tmp_path / "flyback.toml"
    path.write_bytes(data)
    with pytest.raises(JobFileError) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == sentence.format(path=path)


def test_the_line_is_found_below_other_tables(tmp_path: Path) -> None:
    """A key of the same name elsewhere, quoted keys and dotted keys don't mislead it."""
    text = '# owner = 1\n"name" = "a"\ntags.owner = "lee"\ntags.project = 7\n'
    (tmp_path / "flyback.toml").write_text(text)
    with pytest.raises(JobFileError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).splitlines()[1::2] == [
        f"  {tmp_path}/flyback.toml:2: name: 'a' is no name",
        f"  {tmp_path}/flyback.toml:4: tags.project: 7 is no tag value",
    ]
