"""A built site, served on this machine; a browser that can reach nothing else; one visit a page."""

from __future__ import annotations

import functools
import gzip
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from visit import ROOT, SITE, Visit, visit_page

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="session")
def site() -> Path:
    """The built site."""
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site in build/site: run make site first", pytrace=False)
    return SITE


class GzipHandler(SimpleHTTPRequestHandler):
    """Serves files as a public server does: text compressed, everything with its length."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> io.BytesIO | None:
        """Answer with the headers of a file, and its content, compressed where that helps."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        if not path.is_file():
            self.send_error(404)
            return None
        content, kind = path.read_bytes(), self.guess_type(path)
        packed = not kind.startswith(("font/", "image/png", "image/jpeg"))
        if packed:
            content = gzip.compress(content, 6)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        return io.BytesIO(content)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Write a file out; a browser that has left meanwhile is no error."""
        with suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The address of the served site, with a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(GzipHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as COURSE_CHROMIUM names it, as the system has it, or as playwright brought it."""
    program = os.environ.get("COURSE_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of the accessibility checker."""
    script = ROOT / "build" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.fail("axe-core is not installed in build/assets: run make site first", pytrace=False)
    return script.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def visit(browser: Browser, address: str, axe: str) -> Callable[[str, int, str], Visit]:
    """Visits a page once for each width and theme, however many tests ask what was seen."""
    seen: dict[tuple[str, int, str], Visit] = {}

    def look(page: str, width: int, theme: str) -> Visit:
        key = (page, width, theme)
        if key not in seen:
            seen[key] = visit_page(browser, address, page, width, theme, axe)
        return seen[key]

    return look
