"""Machines that really boot: metadata, credentials, time and power as their scripts see them."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from flyback.rehearsal.image import prepare
from flyback.rehearsal.simulator import InstanceSimulator, Options
from flyback.rehearsal.simulator.machine import Machine

if TYPE_CHECKING:
    from conftest import Machines

BOOT_AT_MOST = 60

IMDS = """\
import json, os, urllib.error, urllib.request
BASE = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "/latest/"

def ask(path, method="GET", **headers):
    request = urllib.request.Request(BASE + path, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code

def post(verb, **body):
    body["participant"] = os.environ["FLYBACK_CLOCK_PARTICIPANT"]
    url = os.environ["FLYBACK_CLOCK_URL"] + "/" + verb
    return json.loads(urllib.request.urlopen(url, json.dumps(body).encode()).read())["now"]
"""


def python(body: str) -> str:
    """User-data that runs Python with the helpers above."""
    return f"#!/bin/bash\npython3 - <<'PYTHON'\n{IMDS}\n{body}\nPYTHON\n"


def test_a_script_reads_its_tags_by_imdsv2_only(machines: Machines) -> None:
    """Without a token the metadata service refuses; with one the script gets its tags."""
    instance = machines.run(
        python(
            """
print("v1:", ask("meta-data/instance-id"))
print("wrong:", ask("meta-data/instance-id", X_aws_ec2_metadata_token="guess"))
token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
for path in ("instance-id", "placement/region", "tags/instance/", "tags/instance/Owner",
             "tags/instance/flyback:run-id"):
    print(path, "=", ask("meta-data/" + path, X_aws_ec2_metadata_token=token).split("\\n"))
"""
        )
    )
    assert machines.log(instance).splitlines() == [
        "v1: 401",
        "wrong: 401",
        f"instance-id = ['{instance}']",
        "placement/region = ['us-east-1']",
        "tags/instance/ = ['Owner', 'flyback:run-id']",
        "tags/instance/Owner = ['ada <ada@example.com>']",
        "tags/instance/flyback:run-id = ['spectral-1']",
    ]


def test_the_environment_is_bare(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's environment holds what a machine has, and nothing of the developer's."""
    monkeypatch.setenv("DEVELOPERS_SECRET", "s3cret")
    instance = machines.run("#!/bin/bash\nexport -p\npwd\n")
    log = machines.log(instance)
    names = {line.split("=")[0].removeprefix("declare -x ") for line in log.splitlines()}
    own = {"OLDPWD", "PWD", "SHLVL", str(machines.root(instance))}  # bash's, and what pwd printed
    assert names - own == {
        "PATH",
        "HOME",
        "TMPDIR",
        "AWS_ENDPOINT_URL",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "FLYBACK_ROOT",
        "FLYBACK_CLOCK_URL",
        "FLYBACK_CLOCK_PARTICIPANT",
        "FLYBACK_CONTROL_URL",
    }
    assert f'FLYBACK_ROOT="{machines.root(instance)}"' in log


def test_the_image_computes(machines: Machines) -> None:
    """`python3` on a machine is the image's, with the image's packages and no others."""
    instance = machines.run(
        python(
            """
import importlib.util, sys
import numpy, scipy.fft, soundfile
print(numpy.abs(scipy.fft.rfft(numpy.ones(8))).max(), "images" in sys.prefix)
print([name for name in ("flyback", "boto3", "moto", "pip") if importlib.util.find_spec(name)])
"""
        )
    )
    assert machines.log(instance).splitlines() == ["8.0 True", "[]"]


def test_role_credentials_work_at_the_cloud(machines: Machines) -> None:
    """The credentials from the metadata service are the role's, in a session named by the id."""
    profile = machines.role()
    instance = machines.run(
        python(
            """
token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
role = ask("meta-data/iam/security-credentials/", X_aws_ec2_metadata_token=token)
found = json.loads(
    ask("meta-data/iam/security-credentials/" + role, X_aws_ec2_metadata_token=token)
)
print(json.dumps({"role": role, **found}))
"""
        ),
        IamInstanceProfile={"Name": profile},
    )
    document = json.loads(machines.log(instance))
    assert document["role"] == "machine-role"
    assert document["Code"] == "Success"
    sts: Any = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=machines.cloud.url,
        aws_access_key_id=document["AccessKeyId"],
        aws_secret_access_key=document["SecretAccessKey"],
        aws_session_token=document["Token"],
    )
    arn = sts.get_caller_identity()["Arn"]
    assert arn.endswith(f":assumed-role/machine-role/{instance}")


def test_time_stands_still_for_a_script_and_jumps_for_its_waits(machines: Machines) -> None:
    """A script computes in no time, and its hour on the clock is an hour for everybody."""
    instance = machines.run(
        python(
            """
begun = post("now")
sum(range(10**6))
print(post("now") - begun, post("wait", seconds=3600, working=False) - begun)
"""
        ),
        seconds=7200,
    )
    assert machines.log(instance).split() == ["0.0", "3600.0"]
    assert machines.cloud.clock.now() % 7200 == 1_700_000_000.0 % 7200


def test_shutdown_fires_at_its_simulated_time(machines: Machines) -> None:
    """`shutdown -P +60` switches the machine off an hour later, not earlier, once idle."""
    instance = machines.run("#!/bin/bash\nshutdown -P +60\n", seconds=3600)
    assert machines.state(instance) == "running"
    assert "Shutdown scheduled for" in machines.log(instance)
    machines.cloud.clock.participant("client").sleep(BOOT_AT_MOST)
    assert machines.state(instance) == "terminated"
    ((ended, at),) = machines.cloud.ended
    assert ended == instance
    assert 3600 + 30 <= at <= 3600 + BOOT_AT_MOST


def test_a_later_shutdown_replaces_the_earlier_and_c_cancels(machines: Machines) -> None:
    """Only the last schedule counts; after `-c` none does."""
    first = machines.launch("#!/bin/bash\nshutdown -P +10\nshutdown -P +120\n")
    second = machines.launch("#!/bin/bash\nshutdown -h +10\nshutdown -c\n")
    machines.cloud.clock.participant("client").sleep(4 * 3600)
    ((ended, at),) = machines.cloud.ended
    assert ended == first
    assert 7200 < at <= 7200 + BOOT_AT_MOST
    assert machines.state(second) == "running"


def test_shutdown_now_ends_everything(machines: Machines) -> None:
    """`shutdown -h now` kills what runs, at once in simulated time, and EC2 hears of it."""
    instance = machines.run(
        "#!/bin/bash\ntrap '' TERM HUP INT\nshutdown -h now\nsleep 1000\necho survived\n"
    )
    assert machines.state(instance) == "terminated"
    ((_, at),) = machines.cloud.ended
    assert at <= BOOT_AT_MOST
    assert "survived" not in machines.log(instance)
    calls = machines.shims(instance)
    assert [(call["command"], call["arguments"]) for call in calls] == [("shutdown", ["-h", "now"])]


def test_power_off_by_other_names(machines: Machines) -> None:
    """`poweroff` and `systemctl poweroff` are `shutdown -h now`."""
    instances = [
        machines.launch(f"#!/bin/bash\n{command}\nsleep 100\n")
        for command in ("poweroff", "halt -p", "systemctl poweroff")
    ]
    machines.cloud.clock.participant("client").sleep(600)
    assert [machines.state(instance) for instance in instances] == ["terminated"] * 3


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_halt_kills_a_stubborn_child(machines: Machines) -> None:
    """Children that ignore signals, daemonised into sessions of their own, end with a halt."""
    instance = machines.run(
        "#!/bin/bash\n"
        "trap '' TERM HUP INT\n"
        "setsid bash -c \"trap '' TERM HUP; echo \\$\\$; exec sleep 1000\" &\n"
        "(setsid bash -c \"trap '' TERM; echo \\$\\$; sleep 1000\" &)\n"
        'while [[ $(wc -l < "$FLYBACK_ROOT/var/log/cloud-init-output.log") -lt 2 ]]; do :; done\n'
    )
    stubborn = [int(line) for line in machines.log(instance).split()]
    assert len(stubborn) == 2
    assert all(map(alive, stubborn))
    machines.simulator.halt(instance)
    machines.simulator.halt(instance)
    assert not any(map(alive, stubborn))


def test_what_outlives_the_script_does_not_hold_time(machines: Machines) -> None:
    """A forgotten background process stops neither the clock nor other machines."""
    begun = time.monotonic()
    machines.run("#!/bin/bash\nsleep 1000 &\nshutdown -P +600\n", seconds=12 * 3600)
    assert len(machines.cloud.ended) == 1
    assert time.monotonic() - begun < 30


def test_a_halt_frees_the_time_that_a_machine_held(machines: Machines) -> None:
    """A machine killed while it runs, or while it waits, never freezes the others."""
    runs = machines.launch("#!/bin/bash\nsleep 1000\n")
    waits = machines.launch(python('post("wait", seconds=1e9, working=False)'))
    clock = machines.cloud.clock
    clock.call_after(0, lambda: None)
    client = threading.Thread(target=clock.participant("client").sleep, args=(3600,))
    client.start()
    pause = threading.Event()
    while f"{runs} runs" not in clock.explain():
        pause.wait(0.01)
    machines.simulator.halt(runs)
    client.join(30)
    assert clock.now() == 1_700_000_000.0 + 3600
    assert f"{waits} waits" in clock.explain()
    machines.simulator.halt(waits)
    assert clock.explain() == "client runs"


def test_a_halt_waits_for_the_last_words(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes into a machine's folder after its end: it may be removed at once."""
    pause, idle = threading.Event(), Machine._idle
    monkeypatch.setattr(
        Machine, "_idle", lambda *given: (pause.wait(0.3), idle(*given))
    )  # a busy computer
    instance = machines.launch("#!/bin/bash\nsleep 1000\n")
    clock = machines.cloud.clock
    client = threading.Thread(target=clock.participant("client").sleep, args=(3600,))
    client.start()
    while f"{instance} runs" not in clock.explain():
        pause.wait(0.01)
    machines.simulator.halt(instance)
    assert instance not in {thread.name for thread in threading.enumerate()}
    client.join(30)


def test_a_reboot_loses_the_schedule_and_runs_per_boot_scripts(machines: Machines) -> None:
    """After a reboot user-data does not run again; per-boot scripts do, and files are kept."""
    instance = machines.run(
        "#!/bin/bash\n"
        "echo first boot\n"
        'script="$FLYBACK_ROOT/var/lib/cloud/scripts/per-boot/again"\n'
        "printf '#!/bin/bash\\necho per boot\\n' > $script\n"
        "chmod +x $script\n"
        "shutdown -P +30\n"
        "reboot\n"
        "sleep 1000\n",
        seconds=7200,
    )
    said = [line for line in machines.log(instance).splitlines() if "scheduled" not in line]
    assert said == ["first boot", "per boot"]
    assert machines.cloud.ended == []
    assert machines.state(instance) == "running"
    machines.simulator.reboot(instance)
    machines.cloud.clock.participant("client").sleep(600)
    assert machines.log(instance).count("per boot") == 2


def test_a_scheduled_reboot(machines: Machines) -> None:
    """`shutdown -r +5` restarts the machine five minutes later."""
    instance = machines.run("#!/bin/bash\nshutdown -r +5\n", seconds=1200)
    boots = [
        event["at"]
        for event in machines.simulator.record(instance)["events"]
        if event["what"] == "boot"
    ]
    assert len(boots) == 2
    assert 300 < boots[1] - boots[0] <= 300 + BOOT_AT_MOST


def test_privileged_commands_are_recorded_or_refused(machines: Machines) -> None:
    """Each call leaves a line; what is refused says so in a sentence and exits with 126."""
    instance = machines.run(
        "#!/bin/bash\n"
        'for command in "apt-get install -y jq" "sudo -n true" "mount /dev/sdf /mnt" '
        '"docker run hello" "nvidia-smi -L" "systemctl start nginx" "systemctl is-active a"; do\n'
        '  $command; echo "= $?"\n'
        "done\n"
        "shutdown 'quo ted' \"new\nline\"\n"
        "echo = $?\n"
    )
    assert machines.log(instance).splitlines() == [
        "apt-get: refused: a simulated machine has no privileges on this computer",
        "= 126",
        "sudo: refused: a simulated machine has no privileges on this computer",
        "= 126",
        "mount: refused: a simulated machine has no privileges on this computer",
        "= 126",
        "docker: a simulated machine runs no containers; the call is recorded",
        "= 1",
        "GPU 0: NVIDIA T4 (simulated) (UUID: GPU-simulated-0)",
        "= 0",
        "systemctl: recorded: a simulated machine has no services to start nginx",
        "= 0",
        "inactive",
        "= 3",
        "Failed to parse time specification: quo ted",
        "= 1",
    ]
    calls = machines.shims(instance)
    assert calls[0]["command"] == "apt-get"
    assert calls[0]["arguments"] == ["install", "-y", "jq"]
    assert calls[-1]["arguments"] == ["quo ted", "new\nline"]
    assert [call["status"] for call in calls] == [126, 126, 126, 1, 0, 0, 3, 1]
    assert machines.simulator.record(instance)["shim_calls"] == 8


def test_the_record_of_a_machine(machines: Machines) -> None:
    """machine.json says whether the machine was isolated, how its script ended, and when."""
    instance = machines.run("#!/bin/bash\nexit 3\n")
    record = json.loads((machines.folder / instance / "machine.json").read_text())
    assert record == machines.simulator.record(instance)
    assert record["instance_id"] == instance
    assert record["isolated"] is machines.simulator.protection.isolated
    assert record["isolation"] == str(machines.simulator.protection)
    assert record["exit_code"] == 3
    assert [event["what"] for event in record["events"]] == ["boot"]


def test_boot_times_come_from_the_seed(machines: Machines) -> None:
    """Two simulators with one seed boot at the same simulated times, within the stated bounds."""
    clock = machines.cloud.clock
    begun: list[float] = []
    ended: list[float] = []
    for number in range(2):
        simulator = InstanceSimulator(
            machines.cloud.url,
            clock,
            machines.folder / str(number),
            lambda _instance: ended.append(clock.now()),
            Options(seed=11, image=machines.image),
        )
        begun.append(clock.now())
        instance = machines.launch("#!/bin/bash\nshutdown now\n")
        machines.simulator.halt(instance)
        simulator.boot(instance, "us-east-1")
        clock.participant("client").sleep(600)
        simulator.close()
    first, second = (off - on for on, off in zip(begun, ended, strict=True))
    assert first == pytest.approx(second, abs=1e-5)  # doubles hold epochs to 0.2 microseconds
    assert 30 <= first <= BOOT_AT_MOST


def test_user_data_that_is_no_script(machines: Machines) -> None:
    """Only scripts run; anything else is noted, and the machine idles without holding time."""
    instance = machines.run("hello: world\n", seconds=3600)
    events = machines.simulator.record(instance)["events"]
    assert events[-1]["what"] == "user-data is no script (it does not begin with #!)"
    bare = machines.run("", seconds=3600)
    assert machines.simulator.record(bare)["exit_code"] is None


def test_a_machine_taken_away_while_it_boots_never_starts(machines: Machines) -> None:
    """A halt before the boot's seconds have passed leaves nothing to run later."""
    instance = machines.launch("#!/bin/bash\necho ran\n")
    machines.simulator.halt(instance)
    machines.cloud.clock.participant("client").sleep(600)
    assert not (machines.root(instance) / "var/log/cloud-init-output.log").exists()


def test_notices_reach_the_machine(machines: Machines) -> None:
    """A spot notice and a rebalance recommendation appear in the metadata when they are given."""
    ask = """
token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="21600")
def look():
    for path in ("spot/instance-action", "events/recommendations/rebalance"):
        print(ask("meta-data/" + path, X_aws_ec2_metadata_token=token))
look()
post("wait", seconds=600, working=False)
look()
"""
    instance = machines.launch(python(ask))
    clock = machines.cloud.clock
    clock.participant("client").sleep(300)
    machines.simulator.recommend_rebalance(instance, clock.now())
    machines.simulator.notice(instance, "terminate", clock.now() + 120)
    clock.participant("client").sleep(3600)
    assert machines.log(instance).splitlines() == [
        "404",
        "404",
        '{"action": "terminate", "time": "2023-11-14T22:20:20Z"}',
        '{"noticeTime": "2023-11-14T22:18:20Z"}',
    ]


def test_a_folder_with_a_difficult_name(machines: Machines, weird_tmp_path: Path) -> None:
    """Machines run below a home whose name holds blanks, quotes and worse."""
    clock, image = machines.cloud.clock, prepare(weird_tmp_path / "images", ("pycparser",))
    folder = weird_tmp_path / "machines"
    ended: list[str] = []
    simulator = InstanceSimulator(
        machines.cloud.url, clock, folder, ended.append, Options(image=image), machines.cloud.client
    )
    instance = machines.launch(
        '#!/bin/bash\npython3 -c "import pycparser; print(pycparser.__version__)"\n'
        'echo "$FLYBACK_ROOT"; echo x > "$TMPDIR/y"; nvidia-smi; shutdown -h now\n'
    )
    machines.simulator.halt(instance)
    simulator.boot(instance, "us-east-1")
    clock.participant("client").sleep(600)
    simulator.close()
    log = (folder / instance / "root/var/log/cloud-init-output.log").read_text()
    version = image.distributions["pycparser"]
    assert log.startswith(f"{version}\n{folder / instance / 'root'}\nNVIDIA-SMI (simulated")
    assert ended == [instance]
