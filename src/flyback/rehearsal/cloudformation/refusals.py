"""What CloudFormation refuses, as its API words it.

Sentences are AWS's own where public reports show them; those written from memory are no worse for
a rehearsal, because nothing decides by them but the ones that AWS's own tools match on ("does not
exist", "No updates are to be performed", "The submitted information didn't contain changes").
"""

from __future__ import annotations

from flyback.rehearsal.call import AwsError

__all__ = ["NotEmulatedError", "invalid"]


class NotEmulatedError(AwsError):
    """AWS would do this; the rehearsal does not, and says so instead of pretending.

    Args:
        what: What is not emulated, as a noun.
    """

    def __init__(self, what: str) -> None:
        super().__init__("NotEmulated", f"not emulated: {what}", 501)


def invalid(message: str) -> AwsError:
    """CloudFormation's `ValidationError`."""
    return AwsError("ValidationError", message)
