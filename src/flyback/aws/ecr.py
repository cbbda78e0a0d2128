"""Container registry: whether a repository is there."""

from __future__ import annotations

from flyback.aws.service import Service
from flyback.errors import NotFoundError

__all__ = ["Repositories"]


class Repositories(Service):
    """Elastic Container Registry."""

    def exists(self, name: str) -> bool:
        """Whether there is such a repository."""
        try:
            self._call("describe_repositories", repositoryNames=[name])
        except NotFoundError:
            return False
        return True
