"""`flyback up`."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from flyback import api
from flyback.cli.options import account_flags, chosen_options
from flyback.cli.screen import announce, document
from flyback.spec.codec import encode

__all__ = ["command"]


@click.command("up")
@account_flags
@click.option("--vpc", metavar="VPC", help="Existing VPC for machines (default: their subnets').")
@click.option(
    "--subnet",
    "subnets",
    metavar="SUBNET",
    multiple=True,
    help="Existing subnet for machines; repeat for more zones.",
)
@click.option("--dedicated-vpc", is_flag=True, help="Make a VPC for machines (the default).")
@click.option(
    "--private/--public",
    default=None,
    help="Machines without a public address; a dedicated VPC gets endpoints, billed by the hour.",
)
@click.option(
    "--ci",
    metavar="OWNER/REPO[@BRANCH]",
    help="Let GitHub workflows of one branch (default: main) push images, with no stored key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *,
    vpc: str | None,
    subnets: tuple[str, ...],
    dedicated_vpc: bool,
    private: bool | None,
    ci: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Deploy flyback into your AWS account. A second `up` changes nothing.

    Flags of the network that are left out keep what an earlier `up` was told.
    """
    branch = api.Branch.parse(ci) if ci else None
    network = api.NetworkChoice(dedicated=dedicated_vpc, vpc=vpc, subnets=subnets, private=private)
    options = dataclasses.replace(chosen_options(flags, quiet=as_json), network=network)
    if branch:
        api.check_push(options)
    deployment = api.up(options)
    access = api.let_push(branch, options) if branch else None
    if as_json:
        document(encode(deployment) | ({"ci": encode(access)} if access else {}))
        return
    announce(f"deployed: {deployment.name}; runs go to {deployment.store_url}")
    if access is not None and branch is not None:
        _tell(access, branch)


def _tell(access: api.PushAccess, branch: api.Branch) -> None:
    """What is left to do in the repository."""
    from flyback.infra import workflows

    announce(f"{access.subject} may push to {access.repository}; in that repository:")
    for name, value in (
        ("AWS_REGION", access.region),
        ("FLYBACK_PUSH_ROLE", access.role),
        ("FLYBACK_REPOSITORY", access.repository),
    ):
        announce(f"  gh variable set {name} --body {value}")
    announce(f"  cp {workflows.path('push-image')} .github/workflows/")
    if branch.name != "main":
        announce(f"  and name the branch {branch.name} in that file")
