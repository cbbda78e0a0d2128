"""Serves a folder over HTTP on loopback, as slowly as it is told; ends with its standard input.

    python -m flyback.workloads.io.server FOLDER LATENCY_S BYTES_S

A process of its own, so that it does not compute on the reader's interpreter lock.
"""

from __future__ import annotations

import http.server
import sys
import threading
from pathlib import Path

from flyback.spec.clock import SystemClock

__all__ = ["serve"]

_SLICE = 1 << 16
_SHORTEST_S = 0.001  # a shorter wait costs more than it lasts


def serve(folder: Path, latency_s: float, bytes_s: float) -> http.server.ThreadingHTTPServer:
    """A server that is not running yet; its port is any free one."""
    clock = SystemClock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            clock.sleep(latency_s)
            if not name.isdigit() or not (folder / name).is_file():
                self.send_error(404)
                return
            data = memoryview((folder / name).read_bytes())
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            began = clock.now()
            for at in range(0, len(data), _SLICE):
                self.wfile.write(data[at : at + _SLICE])
                ahead = (at + _SLICE) / bytes_s - (clock.now() - began)
                if ahead > _SHORTEST_S:
                    clock.sleep(ahead)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

    return Server(("127.0.0.1", 0), Handler)


def _main() -> None:
    folder, latency_s, bytes_s = sys.argv[1:4]
    server = serve(Path(folder), float(latency_s), float(bytes_s))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _main()
