"""A Hub on 127.0.0.1 with one repository, whose answers can be spoilt on order.

It speaks as much of the protocol as `hf_hub_download` uses: HEAD and GET of `/REPO/resolve/REVISION/FILE`
with `X-Repo-Commit` and `ETag`; weights are redirected, with `X-Linked-*`, to a store on another host
(this machine's other name), as the Hub does. Files are served in parts where `Range` asks for one.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes], None]


def status(code: int, headers: dict[str, str] | None = None) -> Fault:
    """An answer without a file."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def cut(after: int, reset: bool = False) -> Fault:
    """The promised length, but only `after` bytes of it; then the connection is closed, or reset."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.send_file(body, body[:after])
        handler.wfile.flush()
        if reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True

    return answer


def altered(handler: Handler, body: bytes) -> None:
    """As many bytes, but other ones."""
    handler.send_file(body, bytes(byte ^ 1 for byte in body))


def short(handler: Handler, body: bytes) -> None:
    """A whole answer, but of a shorter file."""
    handler.send_file(body[: len(body) // 2], body[: len(body) // 2])


class Handler(BaseHTTPRequestHandler):
    server: StubHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        place, _, file = self.path.lstrip("/").rpartition("/")
        self.server.requests.append((self.command, file))
        if "Range" in self.headers:
            self.server.ranges.append(self.headers["Range"])
        faults = self.server.faults.get((self.command, file))
        body = self.server.files.get(file, b"")
        if faults:
            faults.popleft()(self, body)
        elif place == "store":
            self.send_file(body, body)
        elif place != f"{self.server.repository}/resolve/{self.server.revision}":
            status(404, {"X-Error-Code": "RevisionNotFound"})(self, body)
        elif file not in self.server.files:
            status(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.server.revision})(self, body)
        elif file.endswith(".safetensors"):
            linked = {
                "X-Linked-Etag": f'"{hashlib.sha256(body).hexdigest()}"',
                "X-Linked-Size": str(len(body)),
            }
            location = {"Location": f"{self.server.store}/{file}", "X-Repo-Commit": self.server.revision}
            status(302, {**linked, **location})(self, body)
        else:
            self.send_file(body, body)

    def send_file(self, body: bytes, sent: bytes) -> None:
        """`sent` of a file whose headers promise `body`; of both the part that `Range` asks for."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.server.revision)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(sent[start:])

    def log_message(self, *arguments: object) -> None:
        """Keeps the tests' output to the tests."""


class StubHub(ThreadingHTTPServer):
    """The Hub while the block lasts; `requests` lists the method and the file of each, `ranges` the parts."""

    daemon_threads = True

    def __init__(self, repository: str, revision: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repository, self.revision, self.files = repository, revision, files
        self.requests: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.faults: dict[tuple[str, str], deque[Fault]] = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.store = f"http://localhost:{self.server_address[1]}/store"

    def __enter__(self) -> StubHub:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def spoil(self, method: str, file: str, fault: Fault, times: int = 1) -> None:
        """The next `times` requests of this kind are answered with `fault`."""
        self.faults.setdefault((method, file), deque()).extend([fault] * times)

    def asked(self, file: str) -> Counter[str]:
        """How often each method asked for a file."""
        return Counter(method for method, name in self.requests if name == file)
