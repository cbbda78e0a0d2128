"""What every test shares, and the rules that a whole session keeps.

Fixtures: a clean environment and a fixed seed for each test, `weird_tmp_path`, `sweep`,
`outer_environ`. Session rules: a proof or a benchmark prints exactly one line that bears its name,
`--only` picks them by that name, and where `CI` is set nothing may be skipped.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

import hypothesis
import pytest

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
OUTER_ENVIRON = dict(os.environ)
FIGURES = {"proof": "PROOF", "bench": "BENCH"}  # marker → first word of the line it prints

# Slow machines are no bug, and `make test` finds the same thing twice. Proofs explore.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize=OUTER_ENVIRON.get("FLYBACK_SWEEP") != "all",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")


# ---------------------------------------------------------------------------------- each test


@pytest.fixture(scope="session")
def machine_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated machine images: read-only, thousands of files, so prepared once for all tests."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    machine_images: Path,
) -> None:
    """Take from each test what the developer's own shell would lend it."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "FLYBACK_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "BOTO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    state = home / "flyback-home"
    state.mkdir()
    (state / "images").symlink_to(machine_images)
    monkeypatch.setenv("FLYBACK_HOME", str(state))
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)


@pytest.fixture(autouse=True, scope="module")
def frozen_heap() -> None:
    """Keep the collector from searching again what earlier modules left in memory.

    The emulated cloud's tables make a full collection take most of a second, and every measurement
    of a workload begins with several.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def outer_environ() -> Mapping[str, str]:
    """The environment that pytest was started in, for a child that needs the package index."""
    return dict(OUTER_ENVIRON)


@pytest.fixture
def weird_tmp_path(tmp_path: Path) -> Path:
    """A folder whose name has all that breaks careless quoting."""
    folder = tmp_path / "sp ace 'single' \"double\" ; $(HOME) `id` * & é字\n#%20"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def sweep(pytestconfig: pytest.Config) -> Callable[[Sequence[T]], list[T]]:
    """Which cases of a big sweep to run: all with `FLYBACK_SWEEP=all`, else a seeded tenth.

    The tenth changes with the day and the commit, so that the days together cover the whole. The
    header of the session names the seed; `FLYBACK_SWEEP_SEED` repeats it.
    """
    seed = pytestconfig.stash[SEED]

    def choose(cases: Sequence[T]) -> list[T]:
        if seed is None:
            return list(cases)
        count = max(1, round(len(cases) / 10))
        chosen = random.Random(seed).sample(range(len(cases)), count)
        return [cases[i] for i in sorted(chosen)]

    return choose


# ------------------------------------------------------------------------------- the session

SEED = pytest.StashKey[str | None]()
LINES = pytest.StashKey["CountedLines"]()


class CountedLines:
    """Standard output, with the proof and bench lines that passed through it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._partial = ""
        self.seen: list[str] = []

    def write(self, text: str) -> int:
        """Pass on, and keep each whole line that is a figure's."""
        *lines, self._partial = (self._partial + text).split("\n")
        self.seen += [line for line in lines if line.startswith(tuple(FIGURES.values()))]
        return self._stream.write(text)

    def begin(self) -> list[str]:
        """Forget what came before, a failed test's letter on this line included."""
        self._partial = ""
        self.seen.clear()
        return self.seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--only a,b`: the proofs or benchmarks of these names."""
    parser.addoption("--only", default="", help="proofs or benchmarks by name, with commas")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the sweep's seed; where output is not captured, watch it for figures."""
    config.stash[SEED] = None if OUTER_ENVIRON.get("FLYBACK_SWEEP") == "all" else sweep_seed()
    if config.getoption("capture") == "no":
        config.stash[LINES] = CountedLines(sys.stdout)
        sys.stdout = config.stash[LINES]  # type: ignore[assignment]  # it writes and delegates


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give standard output back."""
    if LINES in config.stash:
        sys.stdout = sys.__stdout__


def sweep_seed() -> str:
    """The day and the commit."""
    given = OUTER_ENVIRON.get("FLYBACK_SWEEP_SEED")
    if given:
        return given
    day = dt.datetime.now(dt.UTC).date()  # noqa: TID251  # a seed, not a wait
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        commit = "no-commit"
    return f"{day}-{commit.strip()}"


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat this session's tenth."""
    seed = config.stash[SEED]
    return "sweep: all" if seed is None else f"sweep: a tenth; FLYBACK_SWEEP_SEED={seed}"


def figure_of(item: pytest.Item) -> tuple[str, str] | None:
    """First word and name of the line that this test prints; None for a plain test.

    A proof `main-job` is the function `test_proof_main_job`, marked `proof`.
    """
    function = getattr(item, "originalname", None) or item.name
    for marker, word in FIGURES.items():
        if item.get_closest_marker(marker):
            prefix = f"test_{marker}_"
            if not function.startswith(prefix):
                raise pytest.UsageError(f"{item.nodeid}: a {marker} is called {prefix}<name>")
            return word, function.removeprefix(prefix).replace("_", "-")
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the figures that were named; a name that does not exist is the caller's error."""
    figures = [(item, figure_of(item)) for item in items]
    wanted = {name for name in config.getoption("only").split(",") if name}
    if not wanted:
        return
    known = {figure[1] for _, figure in figures if figure}
    if unknown := sorted(wanted - known):
        raise pytest.UsageError(
            f"nothing here is called {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )
    items[:] = [item for item, figure in figures if figure and figure[1] in wanted]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a proof or benchmark that did not print its line, once."""
    figure = figure_of(item)
    if figure is None or LINES not in item.config.stash:
        return (yield)
    lines = item.config.stash[LINES].begin()
    result = yield
    if len(lines) != 1 or lines[0].split(" ")[:2] != list(figure):
        pytest.fail(
            f"exactly one line `{' '.join(figure)} …` was to be printed, not {lines}", pytrace=False
        )
    return result


def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """No dots between the lines that figures print."""
    if LINES in config.stash and report.passed and report.when == "call":
        return "passed", "", "PASSED"
    return None


def not_run(config: pytest.Config) -> Iterator[str]:
    """Tests that were skipped or expected to fail."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}  # a worker of a parallel session reports to another
    for outcome in ("skipped", "xfailed", "xpassed"):
        for report in stats.get(outcome, []):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            yield f"{outcome} {report.nodeid} {reason or getattr(report, 'wasxfail', '')}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI a test that did not run is a test that failed."""
    if OUTER_ENVIRON.get("CI") and any(not_run(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """List what CI does not accept."""
    if OUTER_ENVIRON.get("CI") and (left := list(not_run(config))):
        terminalreporter.section("CI is set, and these did not run: failed")
        for line in left:
            terminalreporter.line(line)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts tests and their children, which a shell's background has it ignored for."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
