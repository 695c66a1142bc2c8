"""Print the built site. Run it as ``python -m book.print``: the book; ``--handouts``: its chapters."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import yaml

from book import publish
from book.files import write_if_changed
from book.print import PrintError
from book.print.binding import bound
from book.print.contents import front
from book.print.links import wanted
from book.print.press import Sheet, paper, press, printed
from book.print.volume import Part

BOOK = "transformers-course.pdf"
WITHOUT = ".course-solutions, .course-to-solution { display: none !important; }"


def chosen(pages: list[str], chapter: str) -> str:
    """The page that a reader calls ``chapter``: its path, or the end of it.

    Raises:
        PrintError: there is none, or more than one; the message names all.
    """
    plain = chapter.removesuffix(".ipynb").removesuffix(".md")
    found = [page for page in pages if f"/{page}".endswith(f"/{plain}")]
    exact = [page for page in found if page in (plain, f"chapters/{plain}")]
    if len(exact or found) != 1:
        names = ", ".join(page.removeprefix("chapters/") for page in pages)
        raise PrintError(f"there is no chapter {chapter!r}; the chapters are: {names}")
    return (exact or found)[0]


def print_book(root: Path, pages: list[str], folder: Path) -> Path:
    """The pages of the built site as one PDF in ``folder``.

    Raises:
        PrintError: a page cannot be printed, or a link of it leads nowhere.
    """
    site, parts, first = root / "build" / "site", [], 1
    title = book_title(root)
    asked = wanted(site, pages)
    with press(site) as context:
        for page in pages:
            sheet = Sheet(context, page, asked[page])
            part = sheet.part(paper(title, sheet.title, "counter(page)", first=first))
            sheet.close()
            say(page, f"pages {first} to {first + len(part.reader.pages) - 1}")
            first += len(part.reader.pages)
            parts.append(part)
        opening = context.new_page()
        opening.set_content(front(title, parts, (site / "_static" / "favicon.svg").read_text()))
        contents = Part("", printed(opening), ["Contents"])
    target = folder / BOOK
    write_if_changed(target, bound([contents, *parts], title, front=1))
    return target


def print_handouts(root: Path, pages: list[str], folder: Path) -> list[Path]:
    """Each page by itself, in ``folder``; with and without solutions where it has any.

    Raises:
        PrintError: a page cannot be printed.
    """
    site, made = root / "build" / "site", []
    title = book_title(root)
    with press(site) as context:
        for page in pages:
            sheet = Sheet(context, page)
            sheet.stand_alone()
            editions = {"": WITHOUT, "-with-solutions": ""} if sheet.solutions else {"": ""}
            for ending, more in editions.items():
                style = paper(title, sheet.title, 'counter(page) " of " counter(pages)', more=more)
                content = bound([sheet.part(style)], f"{sheet.title}, {title}", front=0)
                short = page.removeprefix("chapters/").replace("/", "-")
                target = folder / f"{short}{ending}.pdf"
                write_if_changed(target, content)
                say(target.name, f"{len(content) / 1e6:.1f} MB")
                made.append(target)
            sheet.close()
    return made


def book_title(root: Path) -> str:
    """The book's title, as ``_config.yml`` has it."""
    return str(yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"])


def say(what: str, how: str) -> None:
    """Tell of a step."""
    print(f"  {what}: {how}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when all is printed, 1 with one sentence that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m book.print", description="Print build/site.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    parser.add_argument("--handouts", action="store_true", help="each chapter by itself, not the book")
    parser.add_argument("--chapter", default="", help="only the handout of this chapter, as 02_tokenization")
    options = parser.parse_args(arguments)
    root, start = options.root.resolve(), time.perf_counter()
    folder = root / "build" / "print"
    try:
        pages = publish.pages(root / "_toc.yml")
        if options.chapter:
            pages = [chosen(pages, options.chapter)]
        if not all((root / "build" / "site" / f"{page}.html").is_file() for page in pages):
            raise PrintError("there is no complete site in build/site yet; run: make site")
        if options.handouts or options.chapter:
            made = print_handouts(root, pages, folder / "handouts")
        else:
            made = [print_book(root, pages, folder)]
    except (PrintError, publish.PublishError) as error:
        print(f"print: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(f"print: {path.relative_to(root)}, {path.stat().st_size / 1e6:.1f} MB")
    print(f"print: done in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
