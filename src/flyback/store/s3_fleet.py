"""Many small objects by one thread: connections that never wait, each with one object at a time.

64 threads hand the interpreter's lock to each other at every system call, and that took more
processor time than the work (docs/decisions/0014). This is the way of what goes well. Whatever
does not (refusals, overload, cut connections, damaged bodies, redirects) is left to the patient
way, which retries, waits and knows what is wrong.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from typing import Generic, Protocol, TypeVar

from flyback.errors import NetworkError
from flyback.store.s3_http import Answer, S3Http, Take
from flyback.store.s3_signing import Question, Unusual, pieces

__all__ = ["LINES", "Errand", "Fleet", "Left"]

LINES = 64
"""Connections: at 25 ms a request, that many are needed to fill a link."""
_FEWEST = 8  # connections under overload
_TIMEOUT_S = 60.0  # of a connection on which nothing happens
_TICK_S = 0.5
_STEP = 1 << 18  # bytes between the network and the disk; larger writes ask for large fresh pages
_MOST_HEAD = 1 << 16
_OK, _OVERLOAD = 200, 500
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_UNDER_WAY = (0, errno.EINPROGRESS)
_BLANK = b"\r\n\r\n"

_Steps = Generator[int, None, None]
"""What a connection does next; it yields what it waits for."""


class Left(Exception):  # noqa: N818  # not a failure: the patient way is asked instead
    """This object does not go the usual way now."""


class Errand(Protocol):
    """One object to move."""

    def ask(self, scratch: memoryview) -> Question:
        """The request; it may read a body into `scratch` to describe it."""
        ...

    def begin(self, answer: Answer) -> Take:
        """Takes what arrives.

        Raises:
            Left: not this.
        """
        ...

    def done(self) -> None:
        """All has arrived.

        Raises:
            Left: and it is damaged.
        """
        ...

    def drop(self) -> None:
        """It did not come to an end."""
        ...


E = TypeVar("E", bound=Errand)
_WRONG = (Left, Unusual, NetworkError, OSError, ValueError, KeyError)  # the patient way tells which


class Fleet(Generic[E]):
    """Connections to one bucket, driven by the thread that calls; for one use.

    Args:
        http: Has asked this bucket before.
        errands: Drawn from as connections become free.
        lines: Connections at most.
    """

    def __init__(self, http: S3Http, errands: Iterator[E], lines: int = LINES) -> None:
        self.address = http.address
        self.buffer = bytearray(_STEP)
        self.session = http.session()
        self._errands = errands
        self._most = lines
        self._selector = selectors.DefaultSelector()
        self._places: list[tuple[int, tuple[object, ...]]] = []
        self._lines: set[_Line[E]] = set()
        self._left: list[E] = []
        self._moved = 0

    def carry(self, check: Callable[[], None]) -> list[E]:
        """Move everything; those that are left.

        Args:
            check: Called now and then; what it raises ends everything.
        """
        try:
            self._open()
            while self._lines:
                for found, _ in self._selector.select(_TICK_S):
                    self._advance(found.data)
                check()
                self._end_idle()
                self._open()
        finally:
            for line in tuple(self._lines):
                self._close(line)
            self._selector.close()
        return [*self._left, *self._errands]

    def draw(self) -> E | None:
        """The next errand; None where there is none, or too much goes wrong."""
        if len(self._left) > _FEWEST + self._moved // 4:
            return None
        return next(self._errands, None)

    def moved(self) -> None:
        """An errand has come to its end."""
        self._moved += 1

    def overloaded(self) -> None:
        """S3 asks for less: a quarter of the connections is given up."""
        self._most = max(_FEWEST, len(self._lines) * 3 // 4)

    def connection(self) -> socket.socket:
        """A new one, on its way; to each of the bucket's addresses in turn."""
        if not self._places:
            found = socket.getaddrinfo(
                self.address.name, self.address.port, type=socket.SOCK_STREAM
            )
            self._places = [(family, place) for family, _, _, _, place in found]
        family, place = self._places.pop(0)
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)  # the socket module's own
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if made.connect_ex(place) not in _UNDER_WAY:
            made.close()
            raise NetworkError("the address cannot be reached")
        self._places.append((family, place))
        return made

    def _open(self) -> None:
        while len(self._lines) < self._most and (errand := self.draw()) is not None:
            line = _Line(self, errand)
            self._lines.add(line)
            self._advance(line)

    def _advance(self, line: _Line[E]) -> None:
        line.since = time.monotonic()
        try:
            wants = next(line.steps, 0)
        except _WRONG:
            wants = 0
        if not wants:
            self._close(line)
        elif not line.waits:
            line.descriptor = line.connected.fileno()
            self._selector.register(line.descriptor, wants, line)
        elif wants != line.waits:
            self._selector.modify(line.descriptor, wants, line)
        line.waits = wants

    def _end_idle(self) -> None:
        late = time.monotonic() - _TIMEOUT_S
        for line in [line for line in self._lines if line.since < late]:
            self._close(line)

    def _close(self, line: _Line[E]) -> None:
        self._lines.discard(line)
        if line.waits:
            self._selector.unregister(line.descriptor)
        if line.socket is not None:
            line.socket.close()
        if line.errand is not None:
            line.errand.drop()
            self._left.append(line.errand)


class _Line(Generic[E]):
    """One connection."""

    def __init__(self, fleet: Fleet[E], errand: E) -> None:
        self.socket: socket.socket | None = None
        self.errand: E | None = errand
        self.descriptor = -1
        self.waits = 0
        self.since = 0.0
        self._fleet = fleet
        self._view = memoryview(fleet.buffer)
        self._scratch: memoryview | None = None
        self.steps = self._live(errand)

    @property
    def connected(self) -> socket.socket:
        """The socket.

        Raises:
            NetworkError: there is none.
        """
        if self.socket is None:
            raise NetworkError("not connected")
        return self.socket

    def _live(self, first: E) -> _Steps:
        errand: E | None = first
        yield from self._connect()
        while errand is not None:
            self.errand = errand
            closes = yield from self._exchange(errand)
            errand.done()
            self.errand = None
            self._fleet.moved()
            if closes:
                return
            errand = self._fleet.draw()

    def _connect(self) -> _Steps:
        made = self.socket = self._fleet.connection()
        yield _WRITE
        failed = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, "connect")
        address = self._fleet.address
        if not address.tls:
            return
        secure = self.socket = address.context().wrap_socket(
            made,
            server_hostname=address.name,
            do_handshake_on_connect=False,
            session=self._fleet.session,
        )
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                yield _READ
            except ssl.SSLWantWriteError:
                yield _WRITE
            else:
                return

    def _exchange(self, errand: E) -> Generator[int, None, bool]:
        """Ask and be answered; whether the connection ends with that."""
        question = errand.ask(self._own())
        target, headers = self._fleet.address.signed(question, self._own())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        yield from self._send(f"{question.method} {target} HTTP/1.1\r\n{lines}\r\n".encode())
        for piece in pieces(question.body, self._own()):
            yield from self._send(piece)
        answer, start, end = yield from self._head()
        if answer.status != _OK:
            if answer.status >= _OVERLOAD:
                self._fleet.overloaded()
            raise Left(f"{answer.status}")
        length, at = int(answer.headers["content-length"]), 0
        take = errand.begin(answer)
        while True:
            if end > start:
                take(self._view[start:end], at)
                at += end - start
            if at >= length:
                break
            start, end = 0, self._arrived(0, length - at)
            if not end:
                yield _READ
        if at > length:
            raise Left("more than was announced")
        return answer.headers.get("connection", "").lower() == "close"

    def _head(self) -> Generator[int, None, tuple[Answer, int, int]]:
        """Status and headers, and where in the buffer what came after them begins and ends."""
        buffer, kept, end = self._fleet.buffer, b"", 0
        while True:
            buffer[: len(kept)] = kept
            end = self._arrived(len(kept), _STEP)
            blank = buffer.find(_BLANK, 0, end)
            if blank >= 0:
                return _parsed(bytes(self._view[:blank])), blank + len(_BLANK), end
            kept = bytes(self._view[:end])
            if end > _MOST_HEAD:
                raise Left("no answer of HTTP")
            yield _READ

    def _arrived(self, at: int, most: int) -> int:
        """Read into the common buffer what is there; where it ends then."""
        end, receive = min(at + most, _STEP), self.connected.recv_into
        while at < end:
            try:
                count = receive(self._view[at:end])
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            if not count:
                raise Left("the connection ended")
            at += count
        return at

    def _send(self, data: bytes | memoryview) -> _Steps:
        view = memoryview(data)
        while view:
            try:
                view = view[self.connected.send(view) :]
            except (ssl.SSLWantWriteError, BlockingIOError):
                yield _WRITE
            except ssl.SSLWantReadError:
                yield _READ

    def _own(self) -> memoryview:
        """Memory of this connection's: what is sent stays as it is while others are served."""
        if self._scratch is None:
            self._scratch = memoryview(bytearray(_STEP))
        return self._scratch


def _parsed(head: bytes) -> Answer:
    """Status line and headers."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    version, _, rest = first.partition(" ")
    if version != "HTTP/1.1" or "transfer-encoding" in headers:
        raise Left("not by this way")
    return Answer(int(rest[:3]), headers)
