"""What moto lacks or does differently from AWS is answered by our own parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from flyback.rehearsal.call import AwsError, Call, Gap, Response
from flyback.rehearsal.serialising import emulation_failed, serialise

__all__ = ["Gaps"]


class Gaps:
    """Routes operations to gaps; everything else goes on to moto.

    Args:
        gaps: Each for some operations of one service; no two for the same.
        observe: Told each call once it is answered, by a gap or by moto.

    Raises:
        ValueError: two gaps answer the same operation.
    """

    def __init__(
        self, gaps: Iterable[Gap], observe: Callable[[Call], object] | None = None
    ) -> None:
        self._observe = observe
        self._routes: dict[tuple[str, str], Gap] = {}
        self.add(*gaps)

    def add(self, *gaps: Gap) -> None:
        """Route to more gaps.

        Raises:
            ValueError: two gaps answer the same operation.
        """
        for gap in gaps:
            for operation in gap.operations:
                route = (gap.service, operation)
                if route in self._routes:
                    raise ValueError(f"two gaps answer {gap.service}:{operation}")
                self._routes[route] = gap

    @property
    def routes(self) -> Mapping[tuple[str, str], Gap]:
        """Which gap answers which operation, by service and operation."""
        return dict(self._routes)

    def __call__(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        response = self._answer(call, forward)
        if self._observe is not None:
            self._observe(call)
        return response

    def _answer(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        gap = self._routes.get((call.service, call.operation))
        if gap is None:
            return forward(call)
        try:
            result = gap.answer(call, forward)
            return result if isinstance(result, Response) else serialise(call, result)
        except (AwsError, ConnectionError):
            raise
        except Exception as error:
            raise emulation_failed(call, error) from error
