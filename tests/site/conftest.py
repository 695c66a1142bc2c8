"""A built site, served on this machine; a browser that can reach nothing else; one visit a page."""

from __future__ import annotations

import functools
import gzip
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError
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

PATIENCE = 180  # seconds for one visit, about thirty times what it takes


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


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which the files of ``folder`` are served, with a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(GzipHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The address of the served site, with a slash at its end."""
    with serving(site) as found:
        yield found


@pytest.fixture
def address_below(site: Path, tmp_path: Path) -> Iterator[str]:
    """The same site as a server shows it that has other things at its root: below ``/repo/``."""
    (tmp_path / "repo").symlink_to(site)
    with serving(tmp_path) as found:
        yield f"{found}repo/"


class Chromium:
    """A browser that is ended when it no longer answers, and started afresh for whoever asks next."""

    def __init__(self, playwright: Playwright) -> None:
        self.playwright = playwright
        self.program = os.environ.get("COURSE_CHROMIUM") or shutil.which("chromium")
        self.browser: Browser | None = None

    def running(self) -> Browser:
        """The browser; a new one where the last has ended."""
        if self.browser is None or not self.browser.is_connected():
            self.browser = self.playwright.chromium.launch(executable_path=self.program, args=FLAGS)
        return self.browser

    @contextmanager
    def within(self, seconds: float) -> Iterator[Browser]:
        """The browser for so long: then its processes are killed, so that whoever waits for it gets an error."""
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        try:
            yield self.running()
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End the browser's processes, the ones that hang too."""
        self.browser = None
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "chrom" in process.name().lower():
                    process.kill()

    def close(self) -> None:
        """End the browser as a user does."""
        if self.browser is not None and self.browser.is_connected():
            self.browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Chromium, as COURSE_CHROMIUM names it, as the system has it, or as playwright brought it."""
    with sync_playwright() as playwright:
        found = Chromium(playwright)
        yield found
        found.close()


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Browser]:
    """A running browser for one test."""
    with chromium.within(PATIENCE) as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of the accessibility checker."""
    script = ROOT / "build" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.fail("axe-core is not installed in build/assets: run make site first", pytrace=False)
    return script.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def visit(chromium: Chromium, address: str, axe: str) -> Callable[[str, int, str], Visit]:
    """Visits a page once for each width and theme, however many tests ask what was seen.

    A browser that hangs or dies on the way is no fault of the page unless it does so twice.
    """
    seen: dict[tuple[str, int, str], Visit] = {}

    def look(page: str, width: int, theme: str) -> Visit:
        key = (page, width, theme)
        if key not in seen:
            try:
                with chromium.within(PATIENCE) as browser:
                    seen[key] = visit_page(browser, address, page, width, theme, axe)
            except PlaywrightError as error:
                print(f"{page} at {width}, {theme}, a second time after: {error}")
                chromium.kill()
                with chromium.within(PATIENCE) as browser:
                    seen[key] = visit_page(browser, address, page, width, theme, axe)
        return seen[key]

    return look
