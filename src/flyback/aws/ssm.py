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

    def exists(self, name: str) -> bool:
        """Whether there is such a parameter; its value is not read."""
        wanted = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        pages = self._pages("describe_parameters", "Parameters", ParameterFilters=wanted)
        return any(True for _ in pages)  # a page may be empty and not the last
