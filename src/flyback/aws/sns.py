"""Telling people."""

from __future__ import annotations

from flyback.aws.service import Service

__all__ = ["Topics"]

_MOST_SUBJECT = 100  # SNS: "Subjects must be … less than 100 characters long"


class Topics(Service):
    """Simple Notification Service."""

    def publish(self, topic: str, subject: str, text: str) -> None:
        """Send a message to everybody who has subscribed."""
        plain = subject.encode("ascii", "replace").decode()
        self._call(
            "publish", TopicArn=topic, Subject=plain[: _MOST_SUBJECT - 1], Message=text or " "
        )
