"""Secrets of a job, looked at before a machine is asked for: by name, never by value."""

from __future__ import annotations

from flyback.aws.session import Session
from flyback.errors import CredentialsError, NetworkError, RefusedError, UserError
from flyback.launch.progress import Report
from flyback.spec.job import JobSpec

__all__ = ["check_secrets"]

_READABLE = {"ssm": "/flyback/", "secretsmanager": "flyback/"}  # core.yaml, role of the machines


def check_secrets(session: Session, job: JobSpec, report: Report) -> None:
    """Whether machines will find every secret of a job, as far as the caller may see.

    Raises:
        UserError: the role of the machines can't read it, or there is none.
    """
    for variable, reference in job.secrets.items():
        kind, _, name = reference.partition(":")
        where, prefix = f"secrets.{variable}", _READABLE[kind]
        if not name.startswith(prefix):
            raise UserError(
                f"machines may not read {reference}: their role reads only below {kind}:{prefix}",
                where=where,
                remedy=f"store it there: {_command(kind, prefix + name.lstrip('/'), session)}",
            )
        try:
            there = _exists(session, kind, name)
        except (CredentialsError, NetworkError):
            raise
        except RefusedError as error:
            report("launch", f"{where} could not be checked: {error.what}")
            continue
        if not there:
            raise UserError(
                f"there is no secret {reference} in {session.region}",
                where=where,
                remedy=_command(kind, name, session),
            )


def _exists(session: Session, kind: str, name: str) -> bool:
    return session.parameters.exists(name) if kind == "ssm" else session.secrets.exists(name)


def _command(kind: str, name: str, session: Session) -> str:
    """How to store it without the value in the shell's history."""
    region = f"--region {session.region}"
    if kind == "ssm":
        command = f"aws ssm put-parameter --type SecureString --name {name} {region} --value"
    else:
        command = f"aws secretsmanager create-secret --name {name} {region} --secret-string"
    return f"{command} file://FILE"
