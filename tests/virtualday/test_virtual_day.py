"""A day of the product in simulated time: fifty runs, and every byte of it follows from a seed.

The bytes that are compared: the journal of all requests, in their order, and every file of every
run folder as it was brought home from the bucket, the log, events, markers, results, receipts and
certificates among them. Jobs state how long they work (`factor` 0); measured times would differ.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import Options, deploy, remove, start
from flyback.api.wiring import local_home, start_rehearsal
from flyback.launch.progress import silent
from flyback.launch.runid import new_run_id
from flyback.spec.codec import dumps

_DAY_S = 86_400.0
_RUNS = 50
_OPTIONS = Options(cloud="rehearsal")
# A job that takes as long as it is told, in simulated time: the machine's folder bears its id.
_STAND_IN = r"""
[[ $HOME =~ (i-[0-9a-f]+) ]]
address=${FLYBACK_CLOCK_URL#http://}; address=${address%%/*}
body="{\"participant\": \"${BASH_REMATCH[1]}\", \"seconds\": $1}"
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
printf 'POST /_flyback/clock/worked HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" >&3
read -r answer <&3
echo "worked $1 s: $answer"
exit "$2"
"""


def _day(folder: Path, seed: int, runs: Sequence[int]) -> tuple[str, list[str]]:
    """Live through the day; all that was written in it as one text, and how each run ended."""
    shutil.rmtree(local_home() / "runs", ignore_errors=True)
    chance = random.Random(seed)
    cloud = start_rehearsal(folder / "cloud", region="us-east-1", seed=seed, factor=0.0)
    assert cloud.emulated is not None
    begin = cloud.clock.now()
    kinds = []
    try:
        deploy(cloud, _OPTIONS, silent)
        for number in runs:
            cloud.clock.sleep(
                begin + (number + chance.random()) * _DAY_S / _RUNS - cloud.clock.now()
            )
            job = folder / "job.json"
            command = ["bash", "stand-in.sh", str(chance.randint(10, 60)), str(number % 10 // 9)]
            job.write_text(
                json.dumps({"name": "day", "workdir": "work", "command": command, "engine": "ec2"})
            )
            run_id = new_run_id("day", cloud.clock.now(), chance)
            options = dataclasses.replace(_OPTIONS, run_id=run_id)
            kinds.append(start(prepare(job), cloud, options, silent).wait().kind)
        cloud.clock.sleep(max(begin + _DAY_S - cloud.clock.now(), 0.0))
        certificate = remove(cloud, _OPTIONS, keep_data=False, report=silent)
        assert certificate.clean, certificate
        told = [dumps(dataclasses.asdict(entry)) for entry in cloud.emulated.journal.entries()]
    finally:
        cloud.emulated.stop()
    for path in sorted((local_home() / "runs").rglob("*")):
        if path.is_file():
            told += [str(path.relative_to(local_home())), path.read_text()]
    return "\n".join(told), kinds


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_proof_virtual_day(tmp_path: Path, sweep: Callable[[Sequence[int]], list[int]]) -> None:
    """24 hours with 50 runs end within two minutes; twice from one seed gives the same bytes."""
    runs = sweep(range(_RUNS))
    stories, lasted = [], []
    for _ in range(2):
        began = time.monotonic()
        shutil.rmtree(tmp_path / "day", ignore_errors=True)
        (tmp_path / "day" / "work").mkdir(parents=True)
        (tmp_path / "day" / "work" / "stand-in.sh").write_text(_STAND_IN)
        stories.append(_day(tmp_path / "day", 1, runs))
        lasted.append(time.monotonic() - began)
    seconds = max(lasted)
    (first, kinds), (second, _) = stories
    lines = zip(first.splitlines(), second.splitlines(), strict=False)
    differing = [(one, other) for one, other in lines if one != other]
    print(
        f"PROOF virtual-day runs={len(kinds)} seconds={seconds:.1f} "
        f"reproducible={int(first == second)}"
    )
    assert kinds == ["FAILURE" if number % 10 == 9 else "SUCCESS" for number in runs]
    assert first == second, differing[:5]
    assert seconds <= 120
