"""What a machine prints is read in three places, and is the same in each."""

from __future__ import annotations

import json
from pathlib import Path

from flyback.api.job import prepare
from flyback.api.verbs import Options, start
from flyback.api.wiring import Cloud
from flyback.launch.deployment import find
from flyback.launch.progress import silent


def test_log_group_and_run_folder_hold_the_same_lines(deployed: Cloud, tmp_path: Path) -> None:
    """Standard output, standard error and the boot's own lines are in the stream of the run."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "job.sh").write_text(
        'i=0; while [ $i -lt 1500 ]; do i=$((i+1)); echo "line $i"; done; echo "näch€st" >&2\n'
    )
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"name": "chatty", "workdir": "work", "command": ["sh", "job.sh"]}))
    run = start(prepare(job), deployed, Options(cloud="rehearsal"), silent)
    assert run.wait().kind == "SUCCESS"

    local = (run.folder / "attempts" / "1" / "log.txt").read_text().splitlines()
    group = find(deployed.session, "flyback").log_group
    page = deployed.session.logs.page(group, f"ec2-{run.run_id}")
    shipped: list[str] = []
    while page.lines:
        shipped += page.lines
        page = deployed.session.logs.page(group, f"ec2-{run.run_id}", page.token)
    assert shipped == local
    assert list(run.logs()) == local
    assert [line for line in local if line.startswith("line ")] == [
        f"line {number}" for number in range(1, 1501)
    ]
    assert "näch€st" in local
    assert any("shutdown" in line.lower() for line in local), "the boot's lines are there too"
