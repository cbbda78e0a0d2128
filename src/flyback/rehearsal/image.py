"""A simulated machine image: an interpreter and the packages that a real image would bring.

An image is a folder that holds all of it: the interpreter with its standard library, and exactly
the distributions that were asked for with what they require. They come from the interpreter that
runs flyback, without network; files are hard links where the kernel keeps machines from writing to
them, else copies. A machine needs nothing else of this computer's Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from flyback.errors import MissingExtraError
from flyback.rehearsal import bytecode
from flyback.rehearsal.isolation import available

__all__ = ["DISTRIBUTIONS", "Image", "prepare"]

DISTRIBUTIONS = ("numpy", "scipy", "soundfile")
_LAYOUT = 2  # counts up when images are laid out differently: old ones are then not taken
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_NEEDED = frozenset(
    ("site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "ensurepip")
)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A prepared machine image.

    Args:
        path: Its folder.
        distributions: Name → version of what it holds.
        needs: Paths outside the folder that its interpreter reads.
    """

    path: Path
    distributions: Mapping[str, str]
    needs: tuple[Path, ...] = ()

    @property
    def bin(self) -> Path:
        """Folder of `python3`."""
        return self.path / "bin"


def prepare(folder: Path, names: Iterable[str] = DISTRIBUTIONS) -> Image:
    """The image with these distributions and all they require; built where it is not there yet.

    Safe to call from several processes at once: each builds on its own, one of them wins.

    Args:
        folder: Images lie below it, by the digest of what they hold.
        names: Distributions as importlib.metadata knows them.

    Raises:
        MissingExtraError: one of them is not installed here.
    """
    found = _closure(names)
    versions = {name: distribution.version for name, distribution in sorted(found.items())}
    final = folder / _digest(versions)
    manifest = final / "image.json"
    if not manifest.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
            building = Path(scratch, "image")
            needs = _build(building, found.values())
            content = {"distributions": versions, "needs": list(map(str, needs))}
            (building / "image.json").write_text(json.dumps(content, indent=2) + "\n")
            try:
                building.rename(final)
            except OSError:
                if not manifest.is_file():  # not because another process was first
                    raise
    described = json.loads(manifest.read_text())
    return Image(
        path=final,
        distributions=described["distributions"],
        needs=tuple(map(Path, described["needs"])),
    )


def _closure(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Distributions by normalised name, with what they require unless it is optional."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [(name, False) for name in names]
    while wanted:
        name, conditional = wanted.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            if conditional:
                continue  # for another platform, or it would be installed
            raise MissingExtraError(
                f"{name} is not installed, and the simulated machine image needs it",
                remedy="pip install 'flyback[rehearsal]'",
            ) from error
        wanted += list(_required(found[key]))
    return found


def _required(distribution: metadata.Distribution) -> Iterator[tuple[str, bool]]:
    """Names that it requires, and whether only under a condition."""
    for requirement in distribution.requires or ():
        specifier, _, marker = requirement.partition(";")
        name = _NAME.match(specifier)
        if name and "extra" not in marker:
            yield name[0], bool(marker)


def _digest(versions: Mapping[str, str]) -> str:
    binary = _base_python().stat()
    held = {
        "layout": _LAYOUT,
        "python": [str(_base_python()), sys.version, binary.st_size, binary.st_mtime_ns],
        "machine": platform.machine(),
        "distributions": versions,
        "compiled": [metadata.version(name) for name in ("botocore", "flyback")],
    }
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]


def _base_python() -> Path:
    """The interpreter below any virtual environment."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


def _build(image: Path, distributions: Iterable[metadata.Distribution]) -> tuple[Path, ...]:
    """Fill an image's folder; what its interpreter needs from outside."""
    link = available().isolated
    needs = _own_interpreter(image, link=link)
    site = _site_packages(image)
    if site is None:
        shutil.rmtree(image)
        needs = _linked_interpreter(image)
        site = _site_packages(image)
    if site is None:
        raise RuntimeError(f"{_base_python()} does not run from an image folder")
    for distribution in distributions:
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            # Scripts lie outside, with the environment's interpreter written into them.
            if ".." not in file.parts and source.is_file():
                _place(source, site / file, link=link)
    bytecode.install(image, site)
    return needs


def _own_interpreter(image: Path, *, link: bool) -> tuple[Path, ...]:
    """The base interpreter's program, libraries and standard library, as its own prefix."""
    python = _base_python()
    prefix = Path(sys.base_prefix).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    _place(python, image / "bin" / version, link=link)
    for name in ("python3", "python"):
        (image / "bin" / name).symlink_to(version)
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    target = image / (stdlib.relative_to(prefix) if prefix in stdlib.parents else f"lib/{version}")
    for at, folders, files in os.walk(stdlib):
        folders[:] = [
            name for name in folders if name not in _NOT_NEEDED and not name.startswith("config-")
        ]
        for name in files:
            source = Path(at, name)
            if source.is_file():  # links of a distribution may lead nowhere
                _place(source, target / source.relative_to(stdlib), link=link)
    # Relocatable builds look for libraries beside themselves; others where they were installed.
    if prefix != Path("/usr"):
        for library in (prefix / "lib").glob("*.so*"):
            _place(library, image / "lib" / library.name, link=link)
    libraries = (sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY"))
    folder = Path(str(sysconfig.get_config_var("LIBDIR") or "/usr/lib"))
    paths = {folder / name for name in libraries if name and ".so" in name}
    return tuple(sorted(path for path in paths if path.is_file()))


def _linked_interpreter(image: Path) -> tuple[Path, ...]:
    """A virtual environment, for builds that run only from where they were installed."""
    python = _base_python()
    (image / "bin").mkdir(parents=True)
    for name in ("python3", "python"):
        (image / "bin" / name).symlink_to(python)
    configuration = f"home = {python.parent}\ninclude-system-site-packages = false\n"
    (image / "pyvenv.cfg").write_text(configuration)
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    library = Path(sys.base_prefix, "lib").glob("*.so*")
    beside = (path for path in stdlib.iterdir() if path.name not in _NOT_NEEDED)
    return (python, *sorted(beside), *sorted(library))


def _site_packages(image: Path) -> Path | None:
    """Where the image's interpreter looks for packages; None where it is not an image's own."""
    ask = "import json, site, sys; print(json.dumps([sys.prefix, *site.getsitepackages()]))"
    command = [str(image / "bin" / "python3"), "-I", "-B", "-c", ask]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, env={})
    except (OSError, subprocess.CalledProcessError):
        return None
    prefix, *folders = map(Path, json.loads(answer.stdout))
    inside = [folder for folder in folders if image in folder.parents]
    return inside[0] if prefix == image and inside else None


def _place(source: Path, target: Path, *, link: bool) -> None:
    source = source.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            os.link(source, target)
        except OSError:  # another file system, or somebody else's file
            shutil.copy2(source, target)
    else:
        shutil.copy2(source, target)
