"""Serve the built site on this machine only. Run it as ``python -m book.serve --port 8000``."""

from __future__ import annotations

import argparse
import errno
import functools
import os
import sys
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without caching, so that a rebuilt page shows at once, and without a line a request.

    What is no file of the site is not found: there are no lists of folders.
    """

    def translate_path(self, path: str) -> str:
        """The file that an address names; one that no file can have leads to nothing."""
        found = super().translate_path(path)
        return str(Path(self.directory, "no such page")) if "\0" in found else found

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Say of a folder that there is no such page."""
        self.send_error(HTTPStatus.NOT_FOUND, "There is no such page")

    def end_headers(self) -> None:
        """Add the header that keeps browsers from caching."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that lets a room of readers wait in line: the library turns away all but five."""

    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Print what went wrong, unless a reader left in the middle, which is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of ``folder`` on 127.0.0.1, bound but not yet running; port 0 takes a free one.

    Raises:
        OSError: the port cannot be taken.
    """
    return Server((HOST, port), functools.partial(QuietHandler, directory=str(folder)))


def main(arguments: list[str] | None = None) -> int:
    """The command line: serves until interrupted; 2 when the port cannot be had, 1 without a site."""
    parser = argparse.ArgumentParser(
        prog="python -m book.serve", description="Serve build/site on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=8000, help="the port (default: 8000)")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    options = parser.parse_args(arguments)
    site = options.root / "build" / "site"
    if not (site / "index.html").is_file():
        print("serve: there is no site in build/site yet; run: make site", file=sys.stderr)
        return 1
    try:
        server = make_server(site, options.port)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = "is taken by another program" if number == errno.EADDRINUSE else f"cannot be used ({error})"
        other = options.port + 1 if 1024 <= options.port < 65535 else 8001
        print(f"serve: port {options.port} {reason}; try another: make book PORT={other}", file=sys.stderr)
        return 2
    with server:
        print(f"The book is at http://{HOST}:{server.server_port}/ (stop it with Ctrl-C)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
