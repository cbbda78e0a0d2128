"""Job files as jobs: shorthands, presets, paths, and what a loaded job remembers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flyback.errors import JobFileError
from flyback.spec.codec import read_json, write_json
from flyback.spec.job import Input, JobSpec, Resources, SpotPolicy
from flyback.spec.load import LoadedJob, load_job

Load = Callable[..., LoadedJob]
SPECTRAL = "name: demo\nworkload: spectral\n"
COMMAND = "name: demo\ncommand: [ls]\n"
DIGEST = "a" * 64


def test_every_key(load: Load, tmp_path: Path) -> None:
    """A job file with all keys is this JobSpec, and job.json gives it back."""
    for name in ("src", "sea.wav", "requirements.lock"):
        (tmp_path / name).mkdir() if name == "src" else (tmp_path / name).touch()
    job = load(
        f"""
name: every-key
command: [python, train.py]
parameters: {{lr: 1e-3, layers: [1, 2]}}
sweep: {{depth: [2, 4]}}
workdir: src
setup: [[pip, install, .]]
inputs: [{{source: sea.wav, path: data/sea.wav}}, {{source: s3://bucket/k/e/y, path: y}}]
outputs: ['out/**/*.csv']
env: {{A: b}}
secrets: {{HF_TOKEN: ssm:/hf/token, KEY: 'secretsmanager:team/key'}}
resources: {{gpu: T4, gpu_memory_gib: 15, count: 2, any_of: [g4dn.12xlarge], vcpus: 4,
             memory_gib: 16.5, disk_gib: 100}}
image: ghcr.io/acme/train@sha256:{DIGEST}
requirements: requirements.lock
max_hours: 2
max_usd: 1
stall_minutes: 15
spot: {{attempts: 0, then: on-demand}}
checkpoint_dir: checkpoints
engine: local
"""
    ).job
    assert job == JobSpec(
        name="every-key",
        command=("python", "train.py"),
        parameters={"lr": 0.001, "layers": [1, 2]},
        sweep={"depth": (2, 4)},
        workdir="src",
        setup=(("pip", "install", "."),),
        inputs=(
            Input(source="sea.wav", path="data/sea.wav"),
            Input(source="s3://bucket/k/e/y", path="y"),
        ),
        outputs=("out/**/*.csv",),
        env={"A": "b"},
        secrets={"HF_TOKEN": "ssm:/hf/token", "KEY": "secretsmanager:team/key"},
        resources=Resources(
            gpu="T4",
            gpu_memory_gib=15.0,
            count=2,
            any_of=("g4dn.12xlarge",),
            vcpus=4,
            memory_gib=16.5,
            disk_gib=100,
        ),
        image=f"ghcr.io/acme/train@sha256:{DIGEST}",
        requirements="requirements.lock",
        max_hours=2.0,
        max_usd=1.0,
        stall_minutes=15.0,
        spot=SpotPolicy(attempts=0, then="on-demand"),
        checkpoint_dir="checkpoints",
        engine="local",
    )
    write_json(tmp_path / "job.json", job)
    again = read_json(JobSpec, tmp_path / "job.json")
    assert (again, again.digest()) == (job, job.digest())


def test_text_is_taken_as_it_is_written(load: Load) -> None:
    """Where text is expected, `1.10` stays `1.10` and `true` stays `true`, in YAML and in JSON."""
    job = load(
        "name: 2026\ncommand: [sleep, 1.10, --cache, true, 0x10]\n"
        "env: {A: 1.10, B: 010, C: True, D: 1e3}\n"
    ).job
    assert job.name == "2026"
    assert job.command == ("sleep", "1.10", "--cache", "true", "0x10")
    assert job.env == {"A": "1.10", "B": "010", "C": "True", "D": "1e3"}
    text = '{"name": "demo", "command": ["sleep", 1.10], "env": {"A": 1.10}}'
    assert load(text, name="j.json").job.env == {"A": "1.10"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python train.py --lr 1e-3", ("python", "train.py", "--lr", "1e-3")),
        ("python -c 'print(1); print(2)'", ("python", "-c", "print(1); print(2)")),
        ("grep -c '*.csv' a\\ b", ("grep", "-c", "*.csv", "a b")),
        ("bash -c 'echo $HOME | wc'", ("bash", "-c", "echo $HOME | wc")),
        ("echo \\$HOME", ("echo", "$HOME")),
        ("python x.py --set a=1", ("python", "x.py", "--set", "a=1")),
        ('awk "{print}" f', ("awk", "{print}", "f")),
    ],
)
def test_a_command_may_be_one_line(load: Load, line: str, words: tuple[str, ...]) -> None:
    """It is split as a shell splits words, and what is quoted is text."""
    block = f"name: demo\ncommand: >-\n  {line}\nsetup:\n  - >\n    {line}\n"
    job = load(block).job
    assert (job.command, job.setup) == (words, (words,))


def test_a_command_may_be_continued_with_backslashes(load: Load) -> None:
    """As people paste them."""
    job = load("name: demo\ncommand: |\n  python train.py \\\n    --lr 1\n").job
    assert job.command == ("python", "train.py", "--lr", "1")


def test_an_input_may_be_its_source_alone(load: Load, tmp_path: Path) -> None:
    """It appears under its last name."""
    (tmp_path / "data").mkdir()
    job = load(COMMAND + "inputs: [data, s3://bucket/folder/sea.wav]\n").job
    assert job.inputs == (
        Input(source="data", path="data"),
        Input(source="s3://bucket/folder/sea.wav", path="sea.wav"),
    )


def test_paths_are_relative_to_the_job_file(tmp_path: Path) -> None:
    """They stay as written in the job; `resolve` finds them from anywhere."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "data").mkdir()
    path = tmp_path / "jobs" / "job.yaml"
    path.write_text(COMMAND + "workdir: ../data\n")
    loaded = load_job(path)
    assert loaded.job.workdir == "../data"
    assert loaded.resolve("../data").samefile(tmp_path / "data")
    assert (loaded.source, loaded.folder) == (path, tmp_path / "jobs")


def test_awkward_paths(weird_tmp_path: Path) -> None:
    """A folder with blanks, quotes and a line break in its name is a folder."""
    path = weird_tmp_path / "job.yaml"
    path.write_text(COMMAND + "workdir: .\n")
    assert load_job(path).resolve(".").samefile(weird_tmp_path)


def test_the_home_folder_may_be_written_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Load
) -> None:
    """Recordings lie there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data").mkdir(parents=True)
    loaded = load(COMMAND + "workdir: ~/data\n")
    assert loaded.resolve("~/data") == tmp_path / "home" / "data"


def test_a_loaded_job_says_which_keys_were_given(load: Load) -> None:
    """So that settings take the place of defaults and never of what somebody wrote."""
    text = COMMAND + "presets: {smoke: {max_hours: 1}}\n"
    assert load(text).given == {"name", "command"}
    assert load(text, preset="smoke").given == {"name", "command", "max_hours"}
    assert load(text, "engine=ec2").given == {"name", "command", "engine"}


def test_a_preset_lies_over_the_job(load: Load) -> None:
    """Mappings are merged, everything else is replaced; overrides lie over the preset."""
    text = (
        SPECTRAL + "parameters: {nfft: 1024, window: hann}\noutputs: [a, b]\nmax_hours: 3\n"
        "presets: {quick: {parameters: {nfft: 512}, outputs: [c], resources: {count: 0}}}\n"
    )
    job = load(text, preset="quick").job
    assert job.parameters == {"nfft": 512, "window": "hann"}
    assert (job.outputs, job.max_hours, job.resources.count) == (("c",), 3.0, 0)
    assert load(text, "nfft=256", preset="quick").job.parameters["nfft"] == 256
    assert load(text).job.parameters["nfft"] == 1024


def test_a_workload_brings_presets_of_its_own(load: Load) -> None:
    """The job file's preset of that name comes first; else the workload's parameters are taken."""
    assert load(SPECTRAL, preset="smoke").job.parameters == {"nfft": 256}
    text = SPECTRAL + "presets: {smoke: {parameters: {nfft: 64}}}\n"
    assert load(text, preset="smoke").job.parameters == {"nfft": 64}
    assert load(text, preset="long").job.parameters == {"nfft": 65536}
    sizes = load(SPECTRAL, preset="sizes").job
    assert (sizes.parameters, sizes.sweep) == ({"window": "hann"}, {"nfft": (64, 128)})


def test_setting_ends_a_sweep_and_sweeping_ends_a_setting(load: Load) -> None:
    """The later layer decides; what it does not mention stays swept."""
    text = (
        SPECTRAL + "parameters: {window: hann}\nsweep: {nfft: [1024, 2048], overlap: [0, 0.5]}\n"
        "presets:\n  one: {parameters: {nfft: 64}}\n  two: {sweep: {window: [hann, flat]}}\n"
    )
    one = load(text, preset="one").job
    assert (one.parameters, one.sweep) == ({"nfft": 64, "window": "hann"}, {"overlap": (0, 0.5)})
    two = load(text, preset="two").job
    assert two.parameters == {}
    assert len(list(two.cells())) == 8


def test_an_override_mends_the_file(load: Load) -> None:
    """Only the result is checked."""
    assert load(SPECTRAL + "max_hours: 90m\n", "max_hours=1.5").job.max_hours == 1.5
    with pytest.raises(JobFileError):
        load(SPECTRAL + "max_hours: 1.5\n", "max_hours=90m")


def test_the_checks_are_silent_where_no_workload_is_known(tmp_path: Path) -> None:
    """Without hooks a job file loads all the same: the machine judges the parameters."""
    path = tmp_path / "job.yaml"
    path.write_text(SPECTRAL + "parameters: {anything: 1}\n")
    assert load_job(path).job.parameters == {"anything": 1}


def test_a_list_of_the_file_is_not_shared_with_the_job(load: Load) -> None:
    """An anchor used twice gives two equal values."""
    job = load(COMMAND + "parameters: {a: &x [1], b: *x}\n").job
    assert job.parameters["a"] == job.parameters["b"]
    assert job.parameters["a"] is not job.parameters["b"]


def test_importing_the_loader_is_cheap() -> None:
    """YAML and pydantic are loaded when a job is, for `--help` has no job."""
    code = (
        "import sys, flyback.spec.load, flyback.spec.settings;"
        "print({'pydantic', 'ruamel', 'boto3', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
