"""The guardian's archive: the package cut to what its handler imports, as one reproducible zip.

boto3 is not in it: the function's runtime has its own. What the handler imports is read from the
source, imports inside functions included, without importing anything.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from flyback.errors import UserError
from flyback.infra.bundle import Bundle
from flyback.spec.codec import write_atomic

__all__ = ["HANDLER", "guardian_bundle", "modules"]

HANDLER = "flyback.launch.guardian.handler.handle"
"""What the function's configuration names."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_MODE = 0o644 << 16


def guardian_bundle(folder: Path) -> Bundle:
    """Build the archive, or find it built.

    Args:
        folder: Cache of archives, one file per content.
    """
    data = _archive()
    sha256 = hashlib.sha256(data).hexdigest()
    target = folder / f"{sha256}.zip"
    if not target.exists():
        write_atomic(target, data)
    return Bundle(target, sha256, len(data))


def modules() -> dict[str, Path]:
    """Every module of ours that the handler needs, with its file."""
    found: dict[str, Path] = {}
    waiting = [HANDLER.rpartition(".")[0]]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _file(name)
        if path is None:
            continue  # a name inside a module
        found[name] = path
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imports(path)
    return found


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in sorted(modules().items()):
            inner = name.replace(".", "/")
            inner += "/__init__.py" if path.name == "__init__.py" else ".py"
            entry = zipfile.ZipInfo(inner, _EPOCH)
            entry.external_attr = _MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_bytes())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names if _is_ours(item.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "flyback"


def _file(name: str) -> Path | None:
    """The file of a module, found beside this package; None where the name is no module."""
    own = importlib.util.find_spec("flyback")
    if own is None or own.origin is None:
        raise UserError("flyback is not installed", where="guardian", remedy="install it again")
    place = Path(own.origin).parent.joinpath(*name.split(".")[1:])
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None
