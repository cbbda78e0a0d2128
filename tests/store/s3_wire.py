"""HTTP as S3 speaks it, one thread per connection: the simulator's lower half.

No http.server: that one spends more time on a request than the clients which are measured here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flyback.spec.clock import SystemClock

__all__ = ["Fault", "Link", "Request", "Response", "Server"]

_READ = 1 << 18
_SLICE = 1 << 16  # what a rate-limited connection sends at once


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request.

    Args:
        answer: Status and S3 error code instead of an answer.
        cut_request: The connection ends after so many bytes of the request's body.
        cut_response: The connection ends after so many bytes of the answer's body.
        flip: This byte of the answer's body is not what it should be.
        flip_request: This byte of the request's body arrives changed.
    """

    answer: tuple[int, str] | None = None
    cut_request: int | None = None
    cut_response: int | None = None
    flip: int | None = None
    flip_request: int | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    """The network between.

    Args:
        latency_s: Before the first byte of each answer.
        bytes_s: Of one connection, in either direction; None: as fast as it goes.
        total_bytes_s: Of all connections together, towards the server.
    """

    latency_s: float = 0.0
    bytes_s: float | None = None
    total_bytes_s: float | None = None


@dataclass
class Request:
    """One request; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | bytearray = b""


@dataclass
class Response:
    """One answer."""

    status: int = 200
    body: bytes | memoryview = b""
    headers: dict[str, str] = field(default_factory=dict)


class CutError(Exception):
    """The connection ends here."""


class Pipe:
    """What all connections share: so many bytes per second, whoever sends them."""

    def __init__(self, link: Link, clock: SystemClock) -> None:
        self.clock = clock
        self._rate = link.total_bytes_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, count: int) -> None:
        """Wait until so many bytes have come through."""
        if self._rate is None:
            return
        with self._lock:
            now = self.clock.now()
            self._free_at = max(now, self._free_at) + count / self._rate
            ahead = self._free_at - now
        if ahead > 0.002:  # shorter waits cost more than they last
            self.clock.sleep(ahead)


class Server:
    """Listens on loopback.

    Args:
        answer: What to say.
        fault: What goes wrong, decided by the request line and headers; None for nothing.
        link: The network.
        tls: Server-side TLS.
        port: 0 for any.
    """

    def __init__(
        self,
        answer: Callable[[Request], Response],
        fault: Callable[[Request], Fault | None],
        link: Link,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self._answer = answer
        self._fault = fault
        self._link = link
        self._tls = tls
        self._clock = SystemClock()
        self._pipe = Pipe(link, self._clock)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._open: set[socket.socket] = set()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections and end those that are open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            conversation = _Conversation(connection, self._link, self._pipe)
            while (request := conversation.head()) is not None:
                fault = self._fault(request) or Fault()
                conversation.body(request, fault)
                if self._link.latency_s:
                    self._clock.sleep(self._link.latency_s)
                conversation.send(request, self._respond(request, fault), fault)
        except (OSError, CutError, ValueError):
            pass
        finally:
            self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def _respond(self, request: Request, fault: Fault) -> Response:
        if fault.answer is not None:
            status, code = fault.answer
            return Response(status, f"<Error><Code>{code}</Code></Error>".encode())
        return self._answer(request)


class _Conversation:
    """One connection's bytes."""

    def __init__(self, connection: socket.socket, link: Link, pipe: Pipe) -> None:
        self._connection = connection
        self._link = link
        self._clock = pipe.clock
        self._pipe = pipe
        self._buffer = b""

    def head(self) -> Request | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            chunk = self._connection.recv(_READ)
            if not chunk:
                return None
            self._buffer += chunk
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + 4 :]
        method, target, _ = lines[0].split(" ", 2)
        path, _, query = target.partition("?")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        return Request(method, urllib.parse.unquote(path), dict(pairs), headers)

    def body(self, request: Request, fault: Fault) -> None:
        length = int(request.headers.get("content-length", 0))
        if request.headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.headers.get("transfer-encoding", "").lower() == "chunked":
            request.body = self._chunks()
            return
        limit = length if fault.cut_request is None else min(fault.cut_request, length)
        request.body = self._exactly(limit)
        if limit < length:
            raise CutError
        if fault.flip_request is not None and request.body:
            request.body = _flipped(request.body, fault.flip_request)

    def send(self, request: Request, response: Response, fault: Fault) -> None:
        body = response.body
        if fault.flip is not None and len(body):
            body = _flipped(body, fault.flip)
        head = [f"HTTP/1.1 {response.status} OK"]
        response.headers.setdefault("Content-Length", str(len(body)))
        head += [f"{name}: {value}" for name, value in response.headers.items()]
        start = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if request.method == "HEAD":
            body = b""
        if fault.cut_response is not None and fault.cut_response < len(body):
            self._connection.sendall(start + bytes(body[: fault.cut_response]))
            raise CutError
        if len(body) <= _SLICE and self._link.bytes_s is None:
            self._connection.sendall(start + bytes(body))
            return
        self._connection.sendall(start)
        self._flow(body)

    def _chunks(self) -> bytes:
        """A body of unknown length, as boto3 sends over TLS; sizes are hexadecimal."""
        pieces = []
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                self._buffer += self._connection.recv(_READ) or b"\r\n"
            size = int(self._buffer[:end], 16)
            self._buffer = self._buffer[end + 2 :]
            pieces.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise CutError
            if size == 0:
                return b"".join(pieces)

    def _flow(self, body: bytes | memoryview) -> None:
        if self._link.bytes_s is None:
            self._connection.sendall(body)
            return
        began, view = self._clock.now(), memoryview(body)
        for at in range(0, len(view), _SLICE):
            self._connection.sendall(view[at : at + _SLICE])
            self._keep_pace(began, at + _SLICE)

    def _keep_pace(self, began: float, count: int) -> None:
        assert self._link.bytes_s is not None
        ahead = count / self._link.bytes_s - (self._clock.now() - began)
        if ahead > 0.002:  # shorter waits cost more than they last
            self._clock.sleep(ahead)

    def _exactly(self, count: int) -> bytes | bytearray:
        if len(self._buffer) >= count:
            taken, self._buffer = self._buffer[:count], self._buffer[count:]
            return taken
        data = bytearray(count)
        view, have = memoryview(data), len(self._buffer)
        view[:have], self._buffer = self._buffer, b""
        began, carried = self._clock.now(), have
        while have < count:
            got = self._connection.recv_into(view[have:])  # of TLS, 16 KiB at most
            if not got:
                raise CutError
            have += got
            if have - carried < _READ and have < count:
                continue
            self._pipe.carry(have - carried)
            carried = have
            if self._link.bytes_s is not None:
                self._keep_pace(began, have)
        return data if count > _SLICE else bytes(data)  # a copy would be most of a large one's cost


def _flipped(body: bytes | memoryview, place: int) -> bytes:
    changed = bytearray(body)
    changed[place % len(changed)] ^= 0x55
    return bytes(changed)
