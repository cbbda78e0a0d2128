"""What a job must obey beyond its types: names, limits, grammars, paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from flyback.spec.fields import slug
from flyback.spec.job import JobSpec
from flyback.spec.locate import Way
from flyback.spec.problems import closest, listed

__all__ = ["MAX_HOURS", "MOST_CELLS", "Finding", "find", "resolve"]

Finding = tuple[Way, str, str]
"""Where in the job, what is wrong, the remedy."""

MAX_HOURS = 24.0
"""Hours after which every machine powers off, whatever the job says (user-data's ceiling)."""

_LONGEST_NAME = 40
_NAME = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{_LONGEST_NAME - 1}}}")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}")
_INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"ssm:/[A-Za-z0-9_.\-/]{1,1010}|secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+")
MOST_CELLS = 10_000


def find(job: JobSpec, folder: Path) -> Iterator[Finding]:
    """Everything that is wrong with a job whose types are right.

    Args:
        job: The job.
        folder: The job file's folder, which its paths are relative to.
    """
    yield from _identity(job)
    yield from _limits(job)
    yield from _machine(job)
    yield from _environment(job)
    yield from _sources(job, folder)
    yield from _inside(job)
    yield from _sweep(job)


def resolve(folder: Path, path: str) -> Path:
    """A path of the job file on this machine: relative to the file's folder, `~` is the home."""
    return folder / Path(path).expanduser()


def _identity(job: JobSpec) -> Iterator[Finding]:
    if not _NAME.fullmatch(job.name):
        rule = f"lower-case letters, digits and hyphens, at most {_LONGEST_NAME}"
        yield ("name",), f"{job.name!r} is no name: {rule}", f"write `name: {slug(job.name)}`"
    if job.workload is not None and job.command:
        what = "workload and command stand together; a job has one of them"
        yield ("command",), what, "remove `workload:` or `command:`"
    if job.workload is None and not job.command:
        what = "neither workload nor command is given"
        yield (), what, "write `workload: spectral`, or `command: [python, train.py]`"
    for i, words in enumerate(job.setup):
        if not words:
            yield ("setup", i), "the command is empty", "write for example [make, data]"


def _limits(job: JobSpec) -> Iterator[Finding]:
    if job.max_hours > MAX_HOURS:
        what = f"{job.max_hours:g} is above {MAX_HOURS:g}: no machine lives longer"
        yield ("max_hours",), what, "keep checkpoints in `checkpoint_dir:` and run again"
    resources = job.resources
    above_zero = {
        ("max_hours",): job.max_hours,
        ("max_usd",): job.max_usd,
        ("stall_minutes",): job.stall_minutes,
        ("resources", "gpu_memory_gib"): resources.gpu_memory_gib,
        ("resources", "vcpus"): resources.vcpus,
        ("resources", "memory_gib"): resources.memory_gib,
        ("resources", "disk_gib"): resources.disk_gib,
    }
    for way, number in above_zero.items():
        if number is not None and number <= 0:
            remedy = "write a number above 0"
            if way[0] in ("max_usd", "stall_minutes"):
                remedy += ", or leave the key out for no limit"
            yield way, f"{number:g} is not above 0", remedy
    if resources.count < 0:
        what = f"{resources.count} is below 0"
        yield ("resources", "count"), what, "write the number of GPUs, 0 for none"
    if job.spot.attempts < 0:
        what = f"{job.spot.attempts} is below 0"
        yield ("spot", "attempts"), what, "write 0 to go on-demand at once"


def _machine(job: JobSpec) -> Iterator[Finding]:
    resources = job.resources
    for name, wanted in (("gpu", resources.gpu), ("gpu_memory_gib", resources.gpu_memory_gib)):
        if resources.count == 0 and wanted is not None:
            what = "a GPU is asked for, and `count: 0` asks for none"
            yield ("resources", name), what, f"remove `{name}:` or `count:`"
    if job.spot.attempts == 0 and job.spot.then == "stop":
        what = "0 spot attempts, then stop: this job never starts"
        yield ("spot",), what, "write `then: on-demand`, or at least one attempt"
    for i, name in enumerate(resources.any_of):
        if not _INSTANCE_TYPE.fullmatch(name):
            what = f"{name!r} is no instance type"
            yield ("resources", "any_of", i), what, "write names such as g4dn.xlarge"
    if job.image is not None and not _IMAGE.fullmatch(job.image):
        yield ("image",), *_image(job.image)


def _image(image: str) -> tuple[str, str]:
    repository, _, digest = image.partition("@")
    if digest:
        what = f"{digest!r} is no digest: sha256: and 64 hexadecimal digits"
        return what, "copy the digest from the registry"
    stem, _, tag = repository.rpartition(":")
    if not stem or "/" in tag:
        stem = repository
    what = "an image is named by its digest, since a tag can change under a run"
    return what, f"write {stem}@sha256:…; `docker buildx imagetools inspect {image}` prints it"


def _environment(job: JobSpec) -> Iterator[Finding]:
    for section, names in (("env", job.env), ("secrets", job.secrets)):
        for name in names:
            if not _VARIABLE.fullmatch(name):
                what = f"{name!r} can't name a variable"
                yield (section, name), what, "use letters, digits and _, no digit first"
            elif name.upper().startswith("FLYBACK_"):
                what = "names that begin with FLYBACK_ are set by flyback"
                yield (section, name), what, "choose another name"
    for name, reference in job.secrets.items():
        if name in job.env:
            yield ("secrets", name), "stands under env too", "remove one of them"
        if not _SECRET.fullmatch(reference):
            # The text is not repeated: it may be the secret itself.
            what = "no reference to a secret; the secret itself never stands in a job file"
            yield ("secrets", name), what, "write ssm:/name or secretsmanager:name"


def _sources(job: JobSpec, folder: Path) -> Iterator[Finding]:
    if job.workdir is not None:
        yield from _exists(("workdir",), job.workdir, folder, "folder")
    if job.requirements is not None:
        yield from _exists(("requirements",), job.requirements, folder, "file")
    for i, item in enumerate(job.inputs):
        way = ("inputs", i, "source")
        scheme, separator, _ = item.source.partition("://")
        if not separator:
            yield from _exists(way, item.source, folder, "")
        elif scheme != "s3":
            what = f"{scheme}:// is not read"
            yield way, what, "download it first, or copy it to s3://bucket/key"
        elif not _S3.fullmatch(item.source):
            yield way, f"{item.source!r} is no S3 URL", "write s3://bucket/key"


def _exists(way: Way, path: str, folder: Path, kind: str) -> Iterator[Finding]:
    if not path or "\0" in path:
        yield way, "the path is empty" if not path else "a path can't hold NUL", "write a path"
        return
    full = resolve(folder, path)
    if not full.exists():
        yield way, f"there is no {path!r} in {folder}", _nearby(full, path)
    elif kind == "folder" and not full.is_dir():
        yield way, f"{path!r} is a file", "name the folder that it is in"
    elif kind == "file" and not full.is_file():
        yield way, f"{path!r} is a folder", "name the file"


def _nearby(full: Path, path: str) -> str:
    try:
        guess = closest(full.name, sorted(entry.name for entry in full.parent.iterdir()))
    except OSError:
        guess = None
    if guess:
        return f"did you mean {PurePosixPath(path).with_name(guess)}?"
    return "paths are relative to the job file"


def _inside(job: JobSpec) -> Iterator[Finding]:
    places: list[tuple[Way, str, str]] = [
        (("outputs", i), pattern, "write for example 'results/*.csv'")
        for i, pattern in enumerate(job.outputs)
    ]
    places += [
        (("inputs", i, "path"), item.path, "write for example data/sea.wav")
        for i, item in enumerate(job.inputs)
    ]
    if job.checkpoint_dir is not None:
        places.append((("checkpoint_dir",), job.checkpoint_dir, "write for example checkpoints"))
    for way, path, remedy in places:
        steps = PurePosixPath(path).parts
        if not steps:
            yield way, "the path is empty", remedy
        elif path.startswith(("/", "~")) or ".." in steps:
            yield way, f"{path!r} leaves the working directory", remedy
    taken = Counter(PurePosixPath(item.path) for item in job.inputs)
    for i, item in enumerate(job.inputs):
        if taken[PurePosixPath(item.path)] > 1:
            what = f"several inputs appear at {item.path!r}"
            yield ("inputs", i), what, "give each its own `path:`"


def _sweep(job: JobSpec) -> Iterator[Finding]:
    cells = 1
    for name, values in job.sweep.items():
        if not values:
            yield ("sweep", name), "no values to sweep over", f"write `{name}: [1, 2]`"
        if name in job.parameters:
            what = "stands under parameters too"
            yield ("sweep", name), what, "remove one of them"
        cells *= max(1, len(values))
    if cells > MOST_CELLS:
        sizes = listed([f"{len(values)} {name}" for name, values in job.sweep.items()])
        what = f"{cells} runs ({sizes}), more than {MOST_CELLS}"
        yield ("sweep",), what, "take fewer values"
