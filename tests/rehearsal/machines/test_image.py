"""Machine images: what they hold, and that building them disturbs nobody."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flyback.errors import MissingExtraError
from flyback.rehearsal import image as module
from flyback.rehearsal.image import Image, prepare
from flyback.rehearsal.isolation import Protection, available

SMALL = ("pycparser",)


def ask(image: Image, code: str) -> object:
    """What the image's own interpreter prints as JSON."""
    answer = subprocess.run(
        [image.bin / "python3", "-I", "-B", "-c", f"import json\nprint(json.dumps({code}))"],
        capture_output=True,
        check=True,
        env={},
    )
    return json.loads(answer.stdout)


def test_it_holds_what_was_asked_for_and_what_that_requires(image: Image) -> None:
    """The usual image has numpy, scipy and soundfile with their requirements, and no more."""
    expected = ["cffi", "numpy", "pycparser", "scipy", "soundfile"]
    assert set(expected) <= set(image.distributions) <= {*expected, "typing-extensions"}
    found = ask(
        image, "sorted(d.name for d in __import__('importlib.metadata').metadata.distributions())"
    )
    assert isinstance(found, list)
    assert [name.lower().replace("_", "-") for name in found] == sorted(image.distributions)
    for name, version in image.distributions.items():
        assert version == importlib.metadata.version(name)


def test_it_is_its_own_interpreter(image: Image) -> None:
    """Every entry of sys.path and every loaded module lies in the image."""
    code = "[p for p in __import__('sys').path] + [__import__('numpy').__file__]"
    paths = ask(image, code)
    assert isinstance(paths, list)
    assert paths
    assert all(Path(path).is_relative_to(image.path) for path in paths)


def test_a_second_preparation_takes_the_first(image: Image) -> None:
    """The same versions give the same folder, without building."""
    before = image.path.stat().st_mtime_ns
    assert prepare(image.path.parent) == image
    assert image.path.stat().st_mtime_ns == before


def test_files_are_links_only_behind_a_fence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel can't keep a machine from writing, an image shares no file with anyone."""
    import pycparser

    monkeypatch.setattr(module, "available", Protection)
    copied = prepare(tmp_path / "copied", SMALL)
    monkeypatch.setattr(module, "available", lambda: Protection(landlock=1))
    linked = prepare(tmp_path / "linked", SMALL)
    original = Path(pycparser.__file__).stat()
    copy, link = (
        next(image.path.rglob("pycparser/__init__.py")).stat() for image in (copied, linked)
    )
    assert copy.st_ino != original.st_ino
    # The kernel lets nobody link what another user owns (protected_hardlinks).
    if (link.st_dev, link.st_uid) == (original.st_dev, original.st_uid):
        assert link.st_ino == original.st_ino
    assert (copied.bin / "python3").stat().st_nlink == 1


def test_preparations_at_once(tmp_path: Path) -> None:
    """Several that build the same image at the same time all get one that works, and no litter."""
    images: list[Image] = []
    threads = [
        threading.Thread(target=lambda: images.append(prepare(tmp_path, SMALL))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 3
    assert len({image.path for image in images}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [images[0].path.name]
    assert (
        ask(images[0], "__import__('pycparser').__version__")
        == images[0].distributions["pycparser"]
    )


def test_other_distributions_are_another_image(image: Image, tmp_path: Path) -> None:
    """The folder's name is a digest of what the image holds."""
    assert prepare(tmp_path, SMALL).path.name != image.path.name


def test_a_distribution_that_is_not_installed(tmp_path: Path) -> None:
    """The sentence names the distribution and what to install; nothing is left behind."""
    with pytest.raises(MissingExtraError) as caught:
        prepare(tmp_path / "images", ("no-such-distribution",))
    assert str(caught.value) == (
        "no-such-distribution is not installed, and the simulated machine image needs it\n"
        "  → pip install 'flyback[rehearsal]'"
    )
    assert not (tmp_path / "images").exists()


def test_an_interpreter_that_can_not_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the copied interpreter does not run, a virtual environment takes its place."""
    own = module._own_interpreter

    def broken(path: Path, *, link: bool) -> tuple[Path, ...]:
        needs = own(path, link=link)
        shutil.rmtree(path / "lib")
        (path / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}").unlink()
        return needs

    monkeypatch.setattr(module, "_own_interpreter", broken)
    image = prepare(tmp_path, SMALL)
    assert image.needs
    assert ask(image, "__import__('pycparser').__version__") == image.distributions["pycparser"]
    assert ask(image, "__import__('sys').prefix") == str(image.path)
    needed = {path.name for path in image.needs}
    assert "os.py" in needed
    assert "site-packages" not in needed
    assert available() is not None
