"""Parameters of Systems Manager."""

from __future__ import annotations

from flyback.aws.service import Service

__all__ = ["Parameters"]


class Parameters(Service):
    """Parameter Store."""

    def get(self, name: str) -> str:
        """A parameter's value, decrypted.

        Raises:
            NotFoundError: there is no such parameter.
        """
        return str(
            self._call("get_parameter", Name=name, WithDecryption=True)["Parameter"]["Value"]
        )
