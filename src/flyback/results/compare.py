"""Two sets of results, cell by cell: faster, slower, the same, or undecided.

Where both were measured in turns (one session) the pairs decide. Where not, each side's control
cell takes out what the machine did; without one, nothing does, and the row says so. Unlike
fingerprints are refused: a ratio between two machines is not a regression.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from flyback.errors import UserError
from flyback.results.samples import read_samples
from flyback.spec.comparison import CellComparison, Comparison
from flyback.spec.jsonlines import read_lines
from flyback.spec.result import Result
from flyback.stats.bootstrap import median
from flyback.stats.holm import adjusted
from flyback.stats.quantiles import CONFIDENCE, summarize
from flyback.stats.verdict import LEAST_EFFECT, Ratio, paired, unpaired

__all__ = [
    "Measured",
    "compare",
    "compare_pairs",
    "key_of",
    "mean_ratio_of",
    "open_results",
    "ratio_of",
    "unlike",
]


@dataclass(frozen=True)
class Measured:
    """Result lines, and where their samples lie.

    Args:
        path: The file of result lines.
        results: Its rows.
        folders: Where files of samples are looked for.
    """

    path: Path
    results: tuple[Result, ...]
    folders: tuple[Path, ...]

    def samples(self, result: Result) -> dict[str, Sequence[int]] | None:
        """The samples of a row; None where it has none.

        Raises:
            UserError: the file is missing or damaged, or the row's figures are not those of all its
                samples.
        """
        if result.samples is None:
            return None
        name = str(result.samples["file"])
        found = [folder / name for folder in self.folders if (folder / name).exists()]
        path = found[0] if found else self.folders[0] / name
        samples = read_samples(path, result.samples.get("sha256"))
        _refuse_other_figures(result, samples["latency_ns"], path)
        return samples


def open_results(place: Path) -> Measured:
    """Results by their folder (of a run or of a benchmark) or by their file.

    Raises:
        UserError: there are none, or two rows claim the same samples.
    """
    path = place / "results.jsonl" if place.is_dir() else place
    try:
        rows = read_lines(Result, path)
    except OSError as error:
        raise UserError(
            "there are no results", where=f"{path}", remedy="name a run folder or a results.jsonl"
        ) from error
    except ValueError as error:
        raise UserError(f"{error}", where="results") from error
    _refuse_shared_samples(rows, path)
    root = path.parent
    folders = (root / "samples", *sorted(root.glob("attempts/*/samples"), reverse=True), root)
    return Measured(path, tuple(rows), folders)


def compare(
    a: Measured, b: Measured, *, least_effect: float = LEAST_EFFECT, across: Iterable[str] = ()
) -> Comparison:
    """Compare all cells; Holm's correction keeps the chance of any false verdict at 1 %.

    Args:
        a: Before.
        b: After.
        least_effect: Smaller changes are none.
        across: Fields of the fingerprint that may differ.

    Raises:
        UserError: the fingerprints differ in another field; samples are missing or damaged.
    """
    allowed = tuple(across)
    before, after = _by_key(a), _by_key(b)
    rows: list[tuple[CellComparison, Ratio | None]] = []
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            rows.append((_missing(one or other, "A" if one is None else "B"), None))
            continue
        _refuse_unlike(one, other, allowed)
        cell, ratio = _compared((a, one), (b, other), least_effect)
        if one.status == other.status == "skipped":  # what neither machine has, neither lost
            cell = dataclasses.replace(cell, failed=False)
        rows.append((cell, ratio))
    return Comparison(
        a=str(a.path),
        b=str(b.path),
        least_effect=least_effect,
        confidence=CONFIDENCE,
        across=allowed,
        cells=tuple(_corrected(rows)),
    )


def compare_pairs(a: Measured, b: Measured, *, least_effect: float = LEAST_EFFECT) -> Comparison:
    """Compare rows in their order: pairs of one session, which differ on purpose.

    Args:
        a: Baselines.
        b: As many rows, each measured in turns with its baseline.
        least_effect: Smaller changes are none.

    Raises:
        UserError: samples are missing or damaged.
    """
    rows = []
    for one, other in zip(a.results, b.results, strict=True):
        cell, ratio = _compared((a, one), (b, other), least_effect)
        versions = [row.workload.get("version") for row in (one, other)]
        if ratio is not None and versions[0] != versions[1]:
            why = f"versions {versions[0]} and {versions[1]} of the workload do other things"
            cell = CellComparison(
                workload=cell.workload, verdict="incomparable", reason=why, failed=True
            )
            ratio = None
        rows.append((dataclasses.replace(cell, params=other.params), ratio))
    return Comparison(
        a=str(a.path),
        b=str(b.path),
        least_effect=least_effect,
        confidence=CONFIDENCE,
        cells=tuple(_corrected(rows)),
    )


def unlike(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Fields in which two fingerprints differ, nested ones as `packages.numpy`."""
    found = []
    for name in sorted({*a, *b}):
        one, other = a.get(name), b.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{name}.{inner}" for inner in unlike(one, other)]
        elif one != other:
            found.append(name)
    return found


def _refuse_other_figures(result: Result, samples: Sequence[int], path: Path) -> None:
    """A trimmed percentile, or another row's figures, cannot be had from the samples."""
    stated, true = result.latency_ns or {}, summarize(samples)
    for name in ("n", "min", "p50", "p99", "max"):
        if stated.get(name) != true[name]:
            raise UserError(
                f"cell {result.cell} says {name} {stated.get(name)}, its samples say {true[name]}",
                where=f"{path}",
                remedy="figures are of all samples, none removed: measure again",
            )


def _refuse_shared_samples(rows: Sequence[Result], path: Path) -> None:
    """One measurement under two names is a row that was copied."""
    owners: dict[str, int] = {}
    for row in rows:
        sha256 = str((row.samples or {}).get("sha256") or row.id)
        if sha256 in owners and row.samples is not None:
            raise UserError(
                f"cells {owners[sha256]} and {row.cell} claim the same samples",
                where=f"{path}",
                remedy="one of them was never measured: measure again",
            )
        owners[sha256] = row.cell


def _by_key(measured: Measured) -> dict[str, Result]:
    """Rows by what was measured; a later row of the same replaces an earlier one."""
    return {key_of(row): row for row in measured.results}


def key_of(row: Result) -> str:
    """What was measured, the same for two rows that can be compared."""
    what = [row.workload.get("name"), row.params, row.dtype, row.device.get("kind")]
    return json.dumps(what, sort_keys=True)


def _missing(row: Result | None, side: str) -> CellComparison:
    assert row is not None  # noqa: S101  # for mypy: one side has it
    return CellComparison(
        workload=str(row.workload.get("name", "")),
        params=row.params,
        verdict="missing",
        reason=f"{side} has no such cell",
        failed=side == "B",
    )


def _refuse_unlike(one: Result, other: Result, across: Sequence[str]) -> None:
    a, b = one.fingerprint.get("fields") or {}, other.fingerprint.get("fields") or {}
    fields = [
        name
        for name in unlike(a, b)
        if not any(name == free or name.startswith(f"{free}.") for free in across)
    ]
    if one.workload.get("version") != other.workload.get("version"):
        fields.insert(0, "workload.version")
        a, b = {**a, "workload": one.workload}, {**b, "workload": other.workload}
    if fields and not (set(fields) <= set(across)):
        name = fields[0]
        raise UserError(
            f"not like for like: {name} is {_at(a, name)!r} in A and {_at(b, name)!r} in B",
            where="fingerprint",
            remedy=f"measure both in one place, or compare all the same with --across {name}",
        )


def _at(fields: Mapping[str, Any], name: str) -> Any:
    value: Any = fields
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _compared(
    a: tuple[Measured, Result], b: tuple[Measured, Result], least_effect: float
) -> tuple[CellComparison, Ratio | None]:
    one, other = a[1], b[1]
    cell = CellComparison(
        workload=str(one.workload.get("name", "")),
        params=one.params,
        verdict="incomparable",
        a_p50_ns=(one.latency_ns or {}).get("p50"),
        b_p50_ns=(other.latency_ns or {}).get("p50"),
    )
    for side, row in (("A", one), ("B", other)):
        if row.status != "ok":
            why = f"{side} is {row.status}: {row.reason}"
            return dataclasses.replace(cell, reason=why, failed=True), None
    found = (a[0].samples(one), b[0].samples(other))
    if found[0] is None or found[1] is None:
        return dataclasses.replace(cell, reason="no raw samples were kept", failed=True), None
    session = one.method.get("session")
    in_turns = session is not None and session == other.method.get("session")
    looks = _planned("looks", one, other)
    ratio, method = ratio_of(found[0], found[1], least_effect, in_turns=in_turns, looks=looks)
    disturbed = [
        f"{side} was {row.health['verdict']}"
        for side, row in (("A", one), ("B", other))
        if row.health.get("verdict") in ("contended", "throttled")
    ]
    if method == "direct":
        disturbed.append("no control cell")
    cell = dataclasses.replace(
        cell,
        verdict=ratio.verdict,
        ratio=ratio.value,
        low=ratio.low,
        high=ratio.high,
        method=method,
        reason="" if in_turns else "; ".join(disturbed),
    )
    asked = _planned("restarts_asked", one, other)
    if in_turns and ratio.restarts < asked:  # one process may lie unluckily in memory
        why = f"only {ratio.restarts} of {asked} restarts took part before time was up"
        cell = dataclasses.replace(cell, verdict="undecided", reason=why)
    return cell, ratio


def _planned(name: str, *rows: Result) -> int:
    """What the session was told; rows of earlier versions do not say."""
    return max(int(row.method.get(name) or 1) for row in rows)


def ratio_of(
    a: Mapping[str, Sequence[int]],
    b: Mapping[str, Sequence[int]],
    least_effect: float = LEAST_EFFECT,
    *,
    in_turns: bool,
    looks: int = 1,
) -> tuple[Ratio, str]:
    """How long B takes in units of A, and by which method: `paired`, `control` or `direct`.

    Args:
        a: Samples of a row, from `Measured.samples`.
        b: Of another.
        least_effect: Smaller changes are none.
        in_turns: Whether both are of one session.
        looks: Times that the session asked whether it was decided, at most.
    """
    if in_turns:
        return paired(_pairs(a, b), least_effect, looks), "paired"
    controls = a.get("control_ns"), b.get("control_ns")
    if controls[0] and controls[1]:
        control = (controls[0], controls[1])
        ratio = unpaired(a["latency_ns"], b["latency_ns"], control, least_effect)
        return ratio, "control"
    return unpaired(a["latency_ns"], b["latency_ns"], None, least_effect), "direct"


def mean_ratio_of(a: Mapping[str, Sequence[int]], b: Mapping[str, Sequence[int]]) -> Ratio:
    """How long B takes on average in units of A, tails and all; of one session."""
    return paired(_pairs(a, b, fmean))


def _pairs(
    a: Mapping[str, Sequence[int]],
    b: Mapping[str, Sequence[int]],
    level: Callable[[Sequence[int]], float] = median,
) -> dict[int, list[tuple[float, float]]]:
    """Levels of every layout that both have, by process restart."""
    one, other = _by_layout(a), _by_layout(b)
    pairs: dict[int, list[tuple[float, float]]] = {}
    for place in one:
        if place in other:
            pairs.setdefault(place[0], []).append((level(one[place]), level(other[place])))
    return pairs


def _by_layout(samples: Mapping[str, Sequence[int]]) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    columns = (samples["restart"], samples["layout"], samples["latency_ns"])
    for restart, layout, value in zip(*columns, strict=True):
        found.setdefault((restart, layout), []).append(value)
    return found


def _corrected(rows: Sequence[tuple[CellComparison, Ratio | None]]) -> list[CellComparison]:
    """Take back `faster` and `slower` that so many comparisons would give by chance."""
    judged = [ratio.p_changed for _, ratio in rows if ratio is not None]
    chances = iter(adjusted(judged))
    found = []
    for cell, ratio in rows:
        chance = next(chances) if ratio is not None else 0.0
        if cell.verdict in ("faster", "slower") and chance > 1 - CONFIDENCE:
            why = f"{cell.verdict}, but not certain among {len(judged)} comparisons"
            cell = dataclasses.replace(cell, verdict="undecided", reason=why)  # noqa: PLW2901  # the same cell, weaker
        found.append(cell)
    return found
