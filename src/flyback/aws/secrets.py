"""Secrets Manager."""

from __future__ import annotations

from flyback.aws.service import Service
from flyback.errors import NotFoundError

__all__ = ["Secrets"]


class Secrets(Service):
    """Secrets by name."""

    def get(self, name: str) -> str:
        """A secret's text.

        Raises:
            NotFoundError: there is no such secret, or it holds no text.
        """
        answer = self._call("get_secret_value", SecretId=name)
        if "SecretString" not in answer:
            raise NotFoundError(f"{name} holds bytes, not text", where="secretsmanager")
        return str(answer["SecretString"])

    def exists(self, name: str) -> bool:
        """Whether there is such a secret, and it is not being deleted; its value is not read."""
        try:
            return "DeletedDate" not in self._call("describe_secret", SecretId=name)
        except NotFoundError:
            return False
