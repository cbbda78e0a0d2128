"""`aws`, as a shell finds it, over the clients of a test: whether a printed command works."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError

__all__ = ["shell"]

_SCRIPT = """#!{python} -IS
import json, socket, sys
with socket.create_connection(("127.0.0.1", {port})) as line:
    line.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    code, out, err = json.loads(line.makefile().readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


@contextmanager
def shell(folder: Path, client: Callable[[str], Any]) -> Iterator[Callable[[str], str]]:
    """Runs a line of shell; gives what it wrote on standard error, empty where it ended well.

    Args:
        folder: Where the program `aws` is put.
        client: boto3's, of a service.
    """

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            answer = _answered(client, json.loads(self.rfile.readline()))
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Line) as server:
        folder.mkdir()
        program = folder / "aws"
        program.write_text(_SCRIPT.format(python=sys.executable, port=server.server_address[1]))
        program.chmod(0o755)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def run(line: str) -> str:
            environ = {"PATH": f"{folder}:{os.defpath}"}
            done = subprocess.run(
                ["sh", "-c", line], env=environ, capture_output=True, text=True, check=False
            )
            return done.stderr or (f"status {done.returncode}" if done.returncode else "")

        try:
            yield run
        finally:
            server.shutdown()
            thread.join()


def _answered(client: Callable[[str], Any], words: Sequence[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    service, verb, *options = words
    try:
        out = _called(client({"s3api": "s3"}.get(service, service)), verb, options)
    except (ClientError, KeyError, ValueError) as error:
        return 254, "", f"{' '.join(words)}: {error!r}\n"
    return 0, out, ""


def _called(client: Any, verb: str, options: Sequence[str]) -> str:
    method = verb.replace("-", "_")
    operation = client.meta.method_to_api_mapping[method]
    shape = client.meta.service_model.operation_model(operation).input_shape
    names = {xform_name(name, "-"): name for name in shape.members}
    given, asked = _sorted(options, names, shape)
    missing = set(shape.required_members) - given.keys()
    if missing:
        raise ValueError(f"missing: {sorted(missing)}")
    if not client.can_paginate(method):
        getattr(client, method)(**given)
        return ""
    pages = client.get_paginator(method).paginate(**given)
    rows = [row for page in pages for row in jmespath.search(asked["query"], page) or ()]
    return "".join("\t".join(row) + "\n" for row in rows)  # as `--output text` writes them


def _sorted(
    options: Sequence[str], names: dict[str, str], shape: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Arguments of the call, and the command line's own."""
    given: dict[str, Any] = {}
    own: dict[str, str] = {}
    left = list(options)
    while left:
        word = left.pop(0).removeprefix("--")
        if word in ("query", "output"):
            own[word] = left.pop(0)
            continue
        name = names[word]
        kind = shape.members[name].type_name
        values = []
        while left and not left[0].startswith("--"):
            values.append(left.pop(0))
        if kind == "boolean":
            given[name] = not values
        elif kind == "list":
            given[name] = values
        else:
            (given[name],) = values
    return given, own
