"""One loopback port per machine: its metadata service, and the control of its shims."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flyback.rehearsal.imds import Answer

__all__ = ["LoopbackServer", "Then"]

Then = Callable[[], None]
Answerer = Callable[[str, str, Mapping[str, str], bytes], tuple[Answer, Then | None]]


class LoopbackServer:
    """An HTTP server on a free loopback port, until closed.

    Args:
        answer: Method, path, headers (names in lower case) and body → the answer, and what to do
            once it was sent.
    """

    def __init__(self, answer: Answerer) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            server_version = "EC2ws"
            sys_version = ""

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length)
                try:
                    reply, then = answer(self.command, self.path, headers, body)
                except Exception as error:  # noqa: BLE001  # told to the machine, as AWS would
                    status = HTTPStatus.INTERNAL_SERVER_ERROR
                    reply, then = Answer(status=status, body=repr(error).encode()), None
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                if then is not None:
                    then()

            do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the base class's names

            def log_message(self, *_: Any) -> None:
                """The emulated cloud has its own journal."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        # No polling: a closing server is woken by a connection.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(3600.0,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop accepting; requests being answered go on."""
        stopping = threading.Thread(target=self._server.shutdown, daemon=True)
        stopping.start()
        while stopping.is_alive():
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                stopping.join(0.05)
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A machine that was killed while it asked is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
