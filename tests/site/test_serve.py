"""The server of the built site: what it sends, what it refuses, and how many may wait."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from book.serve import QuietHandler, make_server

LARGE = 30_000_000  # more than a socket's buffers take, so that sending it stops when its reader leaves


@pytest.fixture
def server(tmp_path: Path) -> ThreadingHTTPServer:
    """A server of a page, a large file and a folder without a page; bound, not running."""
    (tmp_path / "index.html").write_text("<title>Home</title>")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "secret.txt").write_text("found")
    (tmp_path / "large.bin").write_bytes(bytes(LARGE))
    return make_server(tmp_path, 0)


@pytest.fixture
def running(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    server.daemon_threads = False  # so that closing it waits for what it was sending
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server: ThreadingHTTPServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_a_page_is_sent_and_not_cached(running: ThreadingHTTPServer) -> None:
    assert get(running, "/") == (200, b"<title>Home</title>")
    connection = http.client.HTTPConnection("127.0.0.1", running.server_port, timeout=20)
    connection.request("HEAD", "/index.html")
    assert connection.getresponse().headers["Cache-Control"] == "no-store"
    connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/folder/", "/nowhere", "/%00", "/index.html%00", "/folder/%00/", "/%2e%2e/"]
)
def test_what_is_no_page_is_not_found_and_leaves_no_traceback(
    running: ThreadingHTTPServer, capfd: pytest.CaptureFixture[str], path: str, method: str
) -> None:
    status, body = get(running, path, method)
    assert (status, b"secret" in body) == ((200, False) if path == "/%2e%2e/" else (404, False))
    assert get(running, "/folder/secret.txt") == (200, b"found")
    assert capfd.readouterr().err == ""


def test_a_reader_who_leaves_in_the_middle_leaves_no_traceback(
    running: ThreadingHTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", running.server_port), timeout=20) as reader:
            reader.sendall(b"GET /large.bin HTTP/1.0\r\n\r\n")
            assert reader.recv(12) == b"HTTP/1.0 200"
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    running.shutdown()
    running.server_close()  # waits for the threads that were sending
    assert capfd.readouterr().err == ""


def test_another_error_is_still_told(
    running: ThreadingHTTPServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object, path: str) -> str:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(QuietHandler, "translate_path", fails)
    with pytest.raises(http.client.RemoteDisconnected):
        get(running, "/")
    running.shutdown()
    running.server_close()
    assert "RuntimeError: the disk is gone" in capfd.readouterr().err


def test_a_room_of_readers_may_wait_before_the_first_is_answered(server: ThreadingHTTPServer) -> None:
    waiting = [socket.create_connection(("127.0.0.1", server.server_port), timeout=20) for _ in range(60)]
    for reader in waiting:
        reader.sendall(b"GET / HTTP/1.0\r\n\r\n")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers = {reader.recv(12) for reader in waiting}
    for reader in waiting:
        reader.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert answers == {b"HTTP/1.0 200"}
