"""The agent bundle: what a machine runs of ours, as one reproducible archive.

It holds the agent, the rooms that it stands on, the workloads' Python code, and boto3 with its
service descriptions cut to the few that the agent calls. Everything in it is pure Python. It is
taken from the packages that are installed here, found without importing them.

Equal inputs give equal bytes on one version of zlib; the hash travels in the machine's tags, so
nothing depends on two machines agreeing.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flyback.errors import UserError
from flyback.spec.codec import write_atomic

__all__ = ["MOST_BYTES", "Bundle", "build", "contents"]

MOST_BYTES = 8 * 2**20
"""A bundle is never larger than this."""

_FORMAT = b"2"  # counts up when the archive of equal inputs changes
_ROOMS = ("agent", "aws", "spec", "stats", "store", "workloads")
_LIBRARIES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
_DISTRIBUTIONS = (
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
)
_SERVICES = ("logs", "s3", "secretsmanager", "ssm", "sts")
_ENDPOINTS = "botocore/data/endpoints.json"
_SERVICE_DATA = frozenset(
    {
        "_retry.json",
        "endpoints.json",
        "partitions.json",
        "sdk-default-configuration.json",
    }
)
_DROPPED_NAMES = ("examples-1.json",)
_DROPPED_SUFFIXES = frozenset({".pyc", ".pyi", ".so", ".pyd", ".js"})
_DROPPED_FOLDERS = (
    "boto3/data/",  # resources; the agent makes clients only
    "boto3/examples/",
    "dateutil/zoneinfo/dateutil-zoneinfo",  # the machine has its own time zones
)
_BUILT: dict[Path, Bundle] = {}
_LICENCES = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "AUTHORS")


@dataclass(frozen=True)
class Bundle:
    """An archive on this machine.

    Args:
        path: Where it lies.
        sha256: Of the file, hexadecimal; also its name in the bucket.
        size: Bytes.
    """

    path: Path
    sha256: str
    size: int


def build(folder: Path) -> Bundle:
    """Build the bundle, or find it built; a process looks at its packages once.

    Args:
        folder: Cache of bundles, one file per content.

    Raises:
        UserError: a package that it is made of is not installed, or it is over 8 MiB.
    """
    built = _BUILT.get(folder)
    if built is not None and built.path.exists():
        return built
    files = {name: path.read_bytes() for name, path in contents().items()}
    files[_ENDPOINTS] = _cut(files[_ENDPOINTS])
    files.update(_metadata())
    target = folder / f"{_key(files)}.tar.gz"
    if not target.exists():
        write_atomic(target, _archive(files))
    data = target.read_bytes()
    if len(data) > MOST_BYTES:
        raise UserError(
            f"the agent bundle has {len(data):,} bytes; the limit is {MOST_BYTES:,}",
            where=f"{target}",
            remedy="reinstall flyback and boto3 in a fresh environment",
        )
    _BUILT[folder] = Bundle(target, hashlib.sha256(data).hexdigest(), len(data))
    return _BUILT[folder]


def contents() -> dict[str, Path]:
    """Name in the archive → file here, of all that is taken from packages."""
    own = _location("flyback")
    found = {f"flyback/{name}": own / name for name in ("__init__.py", "errors.py", "py.typed")}
    for room in _ROOMS:
        found.update(_tree(own / room, f"flyback/{room}"))
    for library in _LIBRARIES:
        place = _location(library)
        if place.is_file():
            found[place.name] = place
        else:
            found.update(_tree(place, library))
    return found


def _cut(endpoints: bytes) -> bytes:
    """The table of endpoints that botocore reads, for the services alone that the agent calls."""
    table = json.loads(endpoints)
    for partition in table["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in _SERVICES if name in services}
    return json.dumps(table, sort_keys=True).encode()


def _tree(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """What is taken of a folder; the thousands of files below what is dropped are not looked at."""
    for path in folder.iterdir():
        inner = f"{name}/{path.name}"
        if path.is_dir():
            if inner == "botocore/data" or _is_taken(f"{inner}/any"):
                yield from _tree(path, inner)
        elif _is_taken(inner):
            yield inner, path


def _is_taken(name: str) -> bool:
    parts = name.split("/")
    if "__pycache__" in parts or parts[-1] in _DROPPED_NAMES:
        return False
    if Path(name).suffix in _DROPPED_SUFFIXES or name.startswith(_DROPPED_FOLDERS):
        return False
    if parts[:2] == ["botocore", "data"]:
        return parts[2] in _SERVICES or parts[2] in _SERVICE_DATA
    return True


def _location(package: str) -> Path:
    """Folder of a package, or file of a module, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the package {package!r} is not installed",
            where="agent bundle",
            remedy="install flyback again: pip install --force-reinstall flyback",
        )
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def _metadata() -> dict[str, bytes]:
    """Versions and licences of the libraries; no paths of this machine."""
    found = {}
    for name in _DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        folder = f"{name.replace('-', '_')}-{distribution.version}.dist-info"
        found[f"{folder}/METADATA"] = (distribution.read_text("METADATA") or "").encode()
        for file in distribution.files or ():
            if file.name.upper().startswith(_LICENCES) and ".dist-info/" in str(file):
                path = Path(str(distribution.locate_file(file)))
                found[f"{folder}/licenses/{file.name}"] = path.read_bytes()
    return found


def _key(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(_FORMAT)
    for name in sorted(files):
        digest.update(f"\n{name}\n{hashlib.sha256(files[name]).hexdigest()}".encode())
    return digest.hexdigest()


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()
