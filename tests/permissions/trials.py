"""Scenarios that can be played again and again while somebody may not do something.

Each ends with an error, or not: that, and no refusal by itself, is what is looked at.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import end_scenarios
import pytest
import run_scenarios

from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import start_rehearsal
from flyback.audit.iam import Asked
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.audit.iam.tolerated import who_asked
from flyback.launch.network import NetworkChoice
from flyback.launch.progress import silent

REGION, ACCOUNT, NAME = "us-east-1", "123456789012", "trial"  # as conftest.py
OPTIONS = Options(cloud="rehearsal", name=NAME)
YOU = "you"
_TAGGED = dataclasses.replace(OPTIONS, tags={"Owner": "me"})
_PRIVATE = dataclasses.replace(OPTIONS, network=NetworkChoice(private=True))


class Trial:
    """An emulated account in a home of its own.

    Args:
        home: Its files lie below.
        images: Where machine images are kept.
        patch: Sets the environment.
    """

    def __init__(self, home: Path, images: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=home))
        (self.folder / "images").symlink_to(images)
        patch.setenv("FLYBACK_HOME", str(self.folder))
        place = Place(name=NAME, account=ACCOUNT, region=REGION)
        policy = deployer_policy(place, ci=True)
        self.cloud = start_rehearsal(self.folder / "cloud", region=REGION, policy=policy)
        assert self.cloud.emulated is not None
        self.emulated = self.cloud.emulated

    @contextmanager
    def scenario(self, *_: object) -> Iterator[None]:
        """Scenarios that are recorded elsewhere are only played here."""
        yield

    def deny(self, pairs: Iterable[tuple[str, str]]) -> None:
        """From now on nobody of these may do this, except through another service.

        Args:
            pairs: `you` or a role of the core template, and an action.
        """
        actions: dict[str, list[str]] = {}
        for who, action in pairs:
            actions.setdefault(who, []).append(action)
        for who, names in actions.items():
            statement = {
                "Effect": "Deny",
                "Action": names,
                "Resource": "*",
                "Condition": {"Bool": {"aws:ViaAWSService": "false"}},
            }
            self._deny(who, statement)

    def _deny(self, who: str, statement: dict[str, Any]) -> None:
        iam = self.emulated.clients("iam", REGION)
        if who == YOU:
            text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName="deployer", PolicyName="denied", PolicyDocument=text)
            return
        named = (role["RoleName"] for role in iam.list_roles()["Roles"])
        for role in [name for name in named if f"-core-{who}-" in name]:
            # in a policy that its stack knows, or the stack could not delete the role
            (policy, *_) = iam.list_role_policies(RoleName=role)["PolicyNames"]
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            document["Statement"].append(statement)
            iam.put_role_policy(
                RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document)
            )


def _up(trial: Trial) -> None:
    deploy(trial.cloud, OPTIONS, silent)


def _up_again(trial: Trial) -> None:
    deploy(trial.cloud, _TAGGED, silent)


def _deployed(trial: Trial) -> None:
    deploy(trial.cloud, OPTIONS, silent)
    run_scenarios.plant(trial)


def _kept(trial: Trial) -> None:
    deploy(trial.cloud, OPTIONS, silent)
    remove(trial.cloud, OPTIONS, keep_data=True, report=silent)


def _up_with_kept_data(trial: Trial) -> None:
    deploy(trial.cloud, _PRIVATE, silent)


def _job(trial: Trial) -> None:
    run_scenarios.run_job(trial, trial.folder / "job")


def _interrupted(trial: Trial) -> None:
    run_scenarios.record_interruption(trial, trial.folder / "taken")


def _deadlines(trial: Trial) -> None:
    run_scenarios.record_deadlines(trial, trial.folder / "hung")


def _calls(trial: Trial) -> None:
    session = trial.cloud.session
    session.logs.page(f"/flyback/{NAME}/runs", "ec2-x")
    session.quotas.open_request("L-3819A6DF")


def _down(trial: Trial) -> None:
    certificate = remove(trial.cloud, OPTIONS, keep_data=False, report=silent)
    assert certificate.clean, certificate


def _left(trial: Trial) -> None:
    end_scenarios.leave(trial, ci=True)


def _reap(trial: Trial) -> None:
    end_scenarios.reap_left(trial, ci=True)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What is played, and what must be there before.

    Args:
        before: While nothing is denied.
        play: While it is.
    """

    before: Callable[[Trial], None]
    play: Callable[[Trial], None]


# The cheapest first: a trial takes the first in which its call is made.
SCENARIOS: Mapping[str, Scenario] = {
    "calls": Scenario(_deployed, _calls),
    "job": Scenario(_deployed, _job),
    "up": Scenario(lambda _: None, _up),
    "interrupted": Scenario(_deployed, _interrupted),
    "deadlines": Scenario(_deployed, _deadlines),
    "up again": Scenario(_up, _up_again),
    "up with kept data": Scenario(_kept, _up_with_kept_data),
    "down": Scenario(_deployed, _down),
    "reap": Scenario(_left, _reap),
}


class Stage:
    """Plays scenarios, each in an account of its own.

    Args:
        home: For their files.
        images: Where machine images are kept.
        patch: Sets the environment.
    """

    def __init__(self, home: Path, images: Path, patch: pytest.MonkeyPatch) -> None:
        self._home, self._images, self._patch = home, images, patch

    def play(
        self, name: str, denied: Iterable[tuple[str, str]] = ()
    ) -> tuple[str, tuple[Asked, ...]]:
        """What went wrong, or empty; and every question meanwhile."""
        trial = Trial(self._home, self._images, self._patch)
        try:
            SCENARIOS[name].before(trial)
            start = trial.emulated.journal.last
            wrong = ""
            trial.deny(denied)
            try:
                SCENARIOS[name].play(trial)
            except Exception as error:  # noqa: BLE001  # whatever ends a scenario
                wrong = f"{type(error).__name__}: {error}"
            return wrong, trial.emulated.judge.asked(after=start)
        finally:
            with suppress(Exception):  # a machine that was cut off may not end in order
                trial.emulated.stop()


def callers(asked: Iterable[Asked]) -> set[tuple[str, str]]:
    """Who called what themselves, of those whose policies are shipped."""
    return {
        (who_asked(item), item.action)
        for item in asked
        if item.action and not item.via and not item.by_schema and who_asked(item)
    }
