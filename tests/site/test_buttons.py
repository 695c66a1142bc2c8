"""The buttons that lead out of a page: what a reader of each kind of clone sees."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from visit import ROOT

from book import site as builder

NOTEBOOK = {
    "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A notebook\n\nWords."}],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
PAGES = {"index": "md", "02_tokens": "ipynb", "10_more/moods": "ipynb"}


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Builds a book of three pages in a clone with this origin, from the course's settings with one line more."""
    if not (ROOT / "build/assets/installed").is_file():
        pytest.fail("the browser assets are not in build/assets: run make site first", pytrace=False)

    monkeypatch.setattr(builder.notebooks, "write_edition", lambda root: None)  # it has tests of its own

    def build(origin: str | None, after: str = "html:", line: str = "") -> Path:
        names = list(PAGES)
        contents = "".join(f"- file: chapters/{name}\n" for name in names[1:])
        (tmp_path / "_toc.yml").write_text(
            f"format: jb-book\nroot: chapters/{names[0]}\nchapters:\n{contents}"
        )
        settings = (ROOT / "_config.yml").read_text()
        (tmp_path / "_config.yml").write_text(settings.replace(f"\n{after}\n", f"\n{after}\n{line}\n"))
        for folder in ("chapters/10_more", "build/executed/chapters/10_more", "build/notebooks/10_more"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "build/assets").symlink_to(ROOT / "build/assets")
        (tmp_path / "chapters/references.bib").write_text("@misc{a, title={A}, author={B}, year={2020}}\n")
        for name, ending in PAGES.items():
            text = json.dumps(NOTEBOOK) if ending == "ipynb" else "# Start\n\nThe first words.\n"
            for folder in ("chapters", "build/executed/chapters", "build/notebooks"):
                (tmp_path / folder / f"{name}.{ending}").write_text(text)
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
        if origin:
            subprocess.run(["git", "remote", "add", "origin", origin], cwd=tmp_path, check=True)
        assert builder.main(["--root", str(tmp_path)]) == 0
        return tmp_path / "build/site/chapters"

    return build


class Header(HTMLParser):
    """What stands in a page's row of buttons: addresses of links, labels of groups."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.depth, self.links, self.labels = 0, [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a link or a group inside the row."""
        named = dict(attributes)
        if tag == "div" and (self.depth or "article-header-buttons" in (named.get("class") or "")):
            self.depth += 1
        if self.depth and tag == "a":
            self.links.append(named.get("href"))
        if self.depth and tag == "button" and named.get("aria-label"):
            self.labels.append(named["aria-label"])

    def handle_endtag(self, tag: str) -> None:
        """Leave the row."""
        if tag == "div" and self.depth:
            self.depth -= 1


def outward(page: Path) -> list[str]:
    return [link for link in Header(page).links if ":" in link]


def test_a_clone_without_origin_has_no_button_that_leads_out(book: Callable[..., Path]) -> None:
    chapters = book(None)
    for name in PAGES:
        header = Header(chapters / f"{name}.html")
        assert header.labels.count("Download this page") == 1
        assert "Run this chapter" not in header.labels
        assert outward(chapters / f"{name}.html") == []
    assert "github" not in (chapters / "02_tokens.html").read_text().lower().split("<article")[0]


@pytest.mark.parametrize(
    "origin", ["https://github.com/ada/notes.git", "git@github.com:ada/notes.git"], ids=["https", "ssh"]
)
def test_a_clone_of_github_opens_the_learners_notebooks_in_binder_and_colab(
    book: Callable[..., Path], origin: str
) -> None:
    chapters = book(origin)
    repository = "https://github.com/ada/notes"
    assert outward(chapters / "index.html") == [repository]
    for name in ("02_tokens", "10_more/moods"):
        assert outward(chapters / f"{name}.html") == [
            f"https://mybinder.org/v2/gh/ada/notes/notebooks?urlpath=lab/tree/{name}.ipynb",
            f"https://colab.research.google.com/github/ada/notes/blob/notebooks/{name}.ipynb",
            repository,
        ]


@pytest.mark.parametrize(
    ("origin", "repository", "source"),
    [
        ("git@gitlab.com:ada/notes.git", "https://gitlab.com/ada/notes", "gl/ada%2Fnotes"),
        (
            "https://gitlab.com/school/class/notes",
            "https://gitlab.com/school/class/notes",
            "gl/school%2Fclass%2Fnotes",
        ),
        (
            "ssh://git@gitlab.example.org:22/school/notes.git",
            "https://gitlab.example.org/school/notes",
            "git/https%3A%2F%2Fgitlab.example.org%2Fschool%2Fnotes",
        ),
    ],
    ids=["owner", "groups", "self-hosted"],
)
def test_a_clone_of_gitlab_opens_them_in_binder_alone(
    book: Callable[..., Path], origin: str, repository: str, source: str
) -> None:
    chapters = book(origin)
    assert outward(chapters / "10_more/moods.html") == [
        f"https://mybinder.org/v2/{source}/notebooks?urlpath=lab/tree/10_more/moods.ipynb",
        repository,
    ]


def test_pages_name_the_sites_own_address_where_it_is_set(book: Callable[..., Path]) -> None:
    chapters = book("https://github.com/ada/notes", "html:", "  baseurl: https://book.example.org/reading/")
    for name in PAGES:
        canonical = f'<link rel="canonical" href="https://book.example.org/reading/chapters/{name}.html" />'
        assert canonical in (chapters / f"{name}.html").read_text()


def test_an_address_that_cannot_be_used_stops_the_build_with_one_line(
    book: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError):
        book(None, "html:", "  baseurl: book.example.org")
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(
        "site: _config.yml: html.baseurl is 'book.example.org'; give the site's whole address"
    )
