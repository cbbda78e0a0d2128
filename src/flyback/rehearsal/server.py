"""The front on a loopback port: a threaded server that keeps connections and ends cleanly."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

__all__ = ["Server"]

HOST = "127.0.0.1"
_POLL_SECONDS = 0.02  # how late the server notices that it shall end


class _RequestHandler(WSGIRequestHandler):
    """Answers many requests on one connection.

    werkzeug's own handler closes after each, and lingers ten milliseconds, because applications
    may leave a body unread. The front reads every body whole.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits for the client's delayed ACK

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        try:
            status, headers, body = _called(self.server.app, environ)
        except ConnectionError:
            self.close_connection = True
            return
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def make_environ(self) -> dict[str, Any]:
        """As WSGI has it, and names of S3 metadata with an underscore as they were written."""
        from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, environ_key_for_header

        environ = super().make_environ()
        kept: dict[str, str] = {}
        for name, value in self.headers.items():
            if "_" in name and name.lower().startswith("x-amz-meta-"):
                key = environ_key_for_header(name)
                if key not in environ:
                    kept[key], environ[key] = name, value
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = kept
        return environ

    def log_message(self, *_: object) -> None:
        """Quiet: the journal tells."""

    def log_request(self, *_: object) -> None:
        """As above."""


class _ThreadedServer(ThreadedWSGIServer):
    """Remembers its connections, to close those that clients keep open."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(*args, **kwargs)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        thread = threading.current_thread()
        self.connections[thread] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.pop(thread, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is its own business; anything else is ours, and is said."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """Serves an application from construction until `close`.

    Args:
        application: WSGI.
        port: To listen on; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], port: int = 0) -> None:
        self._listener = socket.create_server((HOST, port))
        self._listener.set_inheritable(False)
        self._server = _ThreadedServer(
            HOST,
            self._listener.getsockname()[1],
            application,
            handler=_RequestHandler,
            fd=self._listener.fileno(),
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="flyback-front"
        )
        self._thread.daemon = True
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{HOST}:{self._server.port}"

    def close(self) -> None:
        """Stop listening, close every connection, wait for the requests in progress."""
        self._server.shutdown()
        self._thread.join()
        for thread, connection in list(self._server.connections.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
        self._server.server_close()
        self._listener.close()


def _called(
    application: Callable[..., Iterable[bytes]], environ: dict[str, Any]
) -> tuple[str, list[tuple[str, str]], bytes]:
    started: list[Any] = []
    chunks = application(environ, lambda *given: started.extend(given))
    return started[0], started[1], b"".join(chunks)
