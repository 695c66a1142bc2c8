"""Build the site: executed chapters → build/source → build/site. Run it as ``python -m book.site``."""

from __future__ import annotations

import argparse
import hashlib
import html
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from jupyter_book.config import get_final_config
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.console import nocolor
from sphinx.util.docutils import docutils_namespace, patch_docutils

from book import assets, publish
from book.buttons import theme_options
from book.edition import notebooks
from book.extension import own_fingerprint
from book.files import write_if_changed
from book.repository import repository

HERE = Path(__file__).parent


class SiteError(RuntimeError):
    """The site cannot be built; the message is one line for the reader, the details were printed."""


def folder_hash(folder: Path) -> str:
    """One hash of the names and contents of all files below ``folder``."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def configuration(root: Path, build: Path) -> dict[str, Any]:
    """Sphinx's settings for the book: those of ``_config.yml``, where the built parts lie, and what the
    repository's address makes of the buttons.

    Raises:
        RepositoryError: an address in ``_config.yml`` cannot be used.
    """
    place = repository(root)
    settings, _ = get_final_config(
        user_yaml=root / "_config.yml",
        cli_config={"latex_individualpages": False},
        sourcedir=build / "source",
        raise_on_invalid=True,
    )
    settings.pop("comments_config", None)
    settings["bibtex_bibfiles"] = [str(build / "source" / name) for name in settings["bibtex_bibfiles"]]
    settings["html_static_path"] = [str(build / "static")]
    settings["html_favicon"] = str(build / "static" / settings["html_favicon"])
    settings["templates_path"] = [str(HERE / "templates")]
    settings["course_katex"] = str(build / "assets" / "node_modules" / "katex" / "dist" / "katex.min.js")
    settings["course_repository"] = place
    settings["course_launch"] = settings["html_theme_options"].pop("launch_buttons")
    settings["html_theme_options"].update(theme_options(place))
    contents = (root / "_toc.yml").read_bytes()  # every page shows the contents in its sidebar
    settings["course_fingerprint"] = f"{own_fingerprint()} {hashlib.sha256(contents).hexdigest()[:16]}"
    settings["course_assets"] = folder_hash(build / "static")
    return settings


class Recorder(StringIO):
    """Keeps what is written to it, and shows it on stderr as it comes."""

    def write(self, text: str) -> int:
        """Keep and show the text."""
        sys.stderr.write(text)
        return super().write(text)


def run_sphinx(settings: dict[str, Any], source: Path, target: Path, doctrees: Path) -> None:
    """Build ``target`` from ``source``, reading again only what changed; a warning is an error.

    Raises:
        SiteError: Sphinx failed or warned. What it had read is then forgotten, so that the next run
            warns again rather than calling the same pages up to date.
    """
    nocolor()
    log = Recorder()
    try:
        with patch_docutils(None), docutils_namespace():
            app = Sphinx(
                srcdir=source,
                confdir=None,
                outdir=target,
                doctreedir=doctrees,
                buildername="html",
                confoverrides=settings,
                status=None,
                warning=log,
                warningiserror=True,
                keep_going=True,
            )
            app.build()
            failed = app.statuscode != 0
    except (SphinxError, OSError, ValueError) as error:
        shutil.rmtree(doctrees, ignore_errors=True)
        raise SiteError(f"Sphinx stopped: {error}") from error
    if failed:
        shutil.rmtree(doctrees, ignore_errors=True)
        lines = [line for line in log.getvalue().splitlines() if line.strip()]
        first = next(
            (line for line in lines if "WARNING" in line or "ERROR" in line), lines[0] if lines else "?"
        )
        raise SiteError(f"Sphinx gave {len(lines)} line(s) of warnings, the first: {first}")


def redirect(page: str, title: str) -> str:
    """The page at the site's root: it sends the reader on to the first page of the book."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{html.escape(title)}</title><meta http-equiv="refresh" content="0; url={page}.html">'
        f'</head><body><main><h1>{html.escape(title)}</h1><p><a href="{page}.html">Start reading</a></p>'
        "</main></body></html>\n"
    )


def finish(root: Path, work: Path, title: str) -> None:
    """What Sphinx leaves to do: the root page, the learner's notebooks for download, and to take away
    pages that are no longer in the table of contents."""
    order = publish.pages(root / "_toc.yml")
    for folder in (work, work / "_sources"):
        for path in (folder / "chapters").rglob("*"):
            if path.is_file() and path.relative_to(folder).with_suffix("").as_posix() not in order:
                path.unlink()
    write_if_changed(work / "index.html", redirect(order[0], title))
    for page in order:
        if (root / f"{page}.ipynb").is_file():
            notebook = root / "build" / "notebooks" / notebooks.name(page)
            write_if_changed(work / "_sources" / f"{page}.ipynb", notebook.read_bytes())
    for path in work.rglob("*.map"):
        path.unlink()


def release(work: Path, site: Path) -> None:
    """Put a copy of ``work`` in the place of ``site`` by renaming, so that no half-copied site is served."""
    fresh, old = site.with_name(site.name + ".new"), site.with_name(site.name + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(work, fresh, ignore=shutil.ignore_patterns(".buildinfo", ".doctrees"))
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def build_site(root: Path) -> Path:
    """Build the site of the repository ``root`` into ``build/site``; on failure the last one stays.

    Returns:
        The site's folder.

    Raises:
        SiteError, PublishError, EditionError, RepositoryError, AssetsError: what failed, in one line.
    """
    build = root / "build"
    with step("browser assets"):
        assets.install(build / "assets")
        assets.lay_out(build / "assets", build / "static")
    with step("chapters made publishable"):
        publish.publish(root, build / "source", build / "executed")
    with step("pages"):
        settings = configuration(root, build)
        run_sphinx(settings, build / "source", build / "pages", build / "doctrees")
    with step("learner's notebooks"):
        notebooks.write_edition(root)
    with step("site released"):
        finish(root, build / "pages", settings["html_title"])
        release(build / "pages", build / "site")
    return build / "site"


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print what a step of the build did and how long it took."""
    start = time.perf_counter()
    try:
        yield
    except BaseException:
        print(f"  {name}: failed", flush=True)
        raise
    print(f"  {name}: {time.perf_counter() - start:.1f} s", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when the site is built, 1 with one line that says what failed."""
    parser = argparse.ArgumentParser(
        prog="python -m book.site", description="Build the site into build/site."
    )
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    root = parser.parse_args(arguments).root.resolve()
    try:
        site = build_site(root)
    except (SiteError, ValueError, assets.AssetsError) as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    print(f"site: {site.relative_to(root)} is ready")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
