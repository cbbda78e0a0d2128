"""The guardian's archive holds what its handler imports, and stands on boto3 alone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from flyback.infra.guardian import guardian_bundle, modules

# Imported with nothing but the archive, the standard library and boto3's own distributions.
PROBE = """
import json, sys
sys.path[:0] = [sys.argv[1]]
from flyback.launch.guardian.handler import handle
import flyback, boto3
roots = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"from": flyback.__file__, "roots": roots, "ours": sorted(
    name for name in sys.modules if name.startswith("flyback"))}))
"""
BOTO = {"boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}


def test_equal_sources_give_equal_archives(tmp_path: Path) -> None:
    """Two builds give one file: its hash names it, and a deployment changes only with the code."""
    first, second = guardian_bundle(tmp_path / "a"), guardian_bundle(tmp_path / "b")
    assert first.sha256 == second.sha256
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.size < 300_000


def test_the_archive_is_the_import_closure(tmp_path: Path) -> None:
    """Nothing of the other rooms travels, and each module that the handler names does."""
    names = set(modules())
    rooms = {name.split(".")[1] for name in names if "." in name}
    assert rooms == {"aws", "errors", "launch", "spec", "store"}
    with zipfile.ZipFile(guardian_bundle(tmp_path).path) as archive:
        assert len(archive.namelist()) == len(names)
        assert {item.date_time[0] for item in archive.infolist()} == {1980}


def test_the_handler_stands_on_the_runtime_alone(tmp_path: Path) -> None:
    """Imported from the archive, it loads the standard library, boto3 and itself: no pydantic."""
    archive = guardian_bundle(tmp_path).path
    process = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(archive)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    found = json.loads(process.stdout)
    assert found["from"].startswith(str(archive))
    foreign = set(found["roots"]) - set(sys.stdlib_module_names) - BOTO - {"flyback", "__main__"}
    assert {
        name for name in foreign if not name.startswith(("_", "editable", "distutils"))
    } == set()
