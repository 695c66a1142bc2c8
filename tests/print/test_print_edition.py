"""The print edition, read back from its PDF and compared with executed notebooks and built pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reading import ROOT, Print, code, figures, headings, squeezed, stands, views, words

from book.print.__main__ import main, print_book, print_handouts

CHAPTERS = ["chapters/03_padding", "chapters/05_seeing_attention", "chapters/10_applications/sentiment"]
PAGES = ["chapters/index", *CHAPTERS, "chapters/glossary", "chapters/bibliography"]
HANDOUT = "chapters/12_outlook"
MOST_BYTES = 25_000_000
A4 = (595, 842)  # points

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


def title(page: str) -> str:
    """The title of a page, squeezed."""
    return headings(page)[0][1]


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Print:
    """A book of some of the pages."""
    if not (ROOT / "build" / "site" / "index.html").is_file():
        pytest.fail("there is no site in build/site: run make site first", pytrace=False)
    path = print_book(ROOT, PAGES, tmp_path_factory.mktemp("print"))
    assert path.stat().st_size < MOST_BYTES * len(PAGES) / 25
    return Print.read(path)


@pytest.fixture(scope="session")
def handouts(tmp_path_factory: pytest.TempPathFactory) -> list[Print]:
    """A chapter's handouts, without solutions and with them."""
    made = print_handouts(ROOT, [HANDOUT], tmp_path_factory.mktemp("handouts"))
    assert [path.name for path in made] == ["12_outlook.pdf", "12_outlook-with-solutions.pdf"]
    return [Print.read(path) for path in made]


def links(book: Print) -> Iterator[tuple[int, Any]]:
    """Every link: the page it stands on, and its annotation."""
    for number, page in enumerate(book.reader.pages):
        for note in page.get("/Annots", []):
            yield number, note.get_object()


def goal(book: Print, link: Any) -> int:
    """The page to which a link inside the book leads."""
    page: Any = link["/Dest"][0].get_object()
    number = book.reader.get_page_number(page)
    assert number is not None
    return number


@every_chapter
def test_no_line_of_a_chapters_code_is_missing(book: Print, chapter: str) -> None:
    pages = book.chapter(title(chapter))
    missing = [source for source in code(chapter) if not stands(source, pages)]
    assert missing == []


@every_chapter
def test_every_figure_is_drawn_with_its_title_and_the_names_of_its_axes(book: Print, chapter: str) -> None:
    pages = book.chapter(title(chapter))
    made = figures(chapter)
    assert made
    for figure in made:
        layout = figure["layout"]
        texts = [layout["title"]["text"]]
        texts += [layout.get(axis, {}).get("title", {}).get("text", "") for axis in ("xaxis", "yaxis")]
        for text in texts:
            assert any(words(text) in page for page in pages), text


def test_attention_views_are_stills_with_their_title_and_without_their_buttons(book: Print) -> None:
    chapter = "chapters/05_seeing_attention"
    text = "".join(book.chapter(title(chapter)))
    made = views(chapter)
    assert made
    for name in made:
        assert text.count(name) >= 2  # in the code, and above the still
    assert text.count("Storedinonebyte:") == len(made)  # the legend below each
    assert "SaveasSVG" not in text


def test_the_outline_has_the_headings_of_the_pages_in_their_order(book: Print) -> None:
    printed = [(depth + 1, squeezed(name)) for depth, name, _ in book.outline]
    expected = [(1, "Contents")]
    for page in PAGES:
        expected += headings(page)
        if page in CHAPTERS:
            expected.append((2, "Solutions"))
    solutions = [entry for entry in printed if re.match(r"\d+\.", entry[1])]
    assert [entry for entry in printed if entry not in solutions] == expected
    assert len(solutions) == sum(len(code(chapter, "hide-cell")) for chapter in CHAPTERS)


def test_an_entry_of_the_outline_leads_to_the_page_that_has_the_heading(book: Print) -> None:
    wrong = [name for _, name, page in book.outline if squeezed(name) not in book.texts[page]]
    assert wrong == []


def test_the_contents_say_the_numbers_that_the_pages_carry(book: Print) -> None:
    labels = book.reader.page_labels
    first = labels.index("1")
    contents = "".join(book.texts[:first])
    for depth, name, page in book.outline[1:]:
        if depth <= 1:
            assert f"{squeezed(name)}{labels[page]}" in contents
            assert f"{labels[page]}" in book.texts[page]
    assert labels[0] == "i"


def test_links_lead_to_pages_of_the_book_or_to_the_web(book: Print) -> None:
    inside = [link for _, link in links(book) if "/Dest" in link]
    assert all(0 <= goal(book, link) < len(book.texts) for link in inside)
    outside = [str(link["/A"]["/URI"]) for _, link in links(book) if "/Dest" not in link]
    assert [address for address in outside if not re.match(r"(https?://|mailto:)", address)] == []
    assert [address for address in outside if re.search(r"127\.0\.0\.1|localhost|\.invalid", address)] == []
    assert len(inside) > len(outside) > 0


@every_chapter
def test_links_of_a_chapter_reach_other_chapters(book: Print, chapter: str) -> None:
    tops = {squeezed(name): page for depth, name, page in book.outline if depth == 0}
    own = range(tops[title(chapter)], tops[title(chapter)] + len(book.chapter(title(chapter))))
    reached = {goal(book, link) for number, link in links(book) if number in own and "/Dest" in link}
    assert any(page >= tops["Glossary"] for page in reached)
    assert any(page >= tops["Bibliography"] for page in reached)


def test_pages_are_a4_and_tagged_and_every_page_has_its_place_among_the_tags(book: Print) -> None:
    catalogue: Any = book.reader.trailer["/Root"]
    assert catalogue["/MarkInfo"]["/Marked"]
    numbers = catalogue["/StructTreeRoot"]["/ParentTree"]["/Nums"]
    keys = dict(zip(numbers[::2], numbers[1::2], strict=True))
    assert len(keys) == len(numbers) / 2
    for page in book.reader.pages:
        assert (round(page.mediabox.width), round(page.mediabox.height)) == A4
        tags = keys[page["/StructParents"]].get_object()
        assert page.indirect_reference in [tag.get_object().raw_get("/Pg") for tag in tags]


@every_chapter
def test_a_solution_stands_once_and_at_the_end_of_its_chapter(book: Print, chapter: str) -> None:
    pages = book.chapter(title(chapter))
    tops = [page for depth, name, page in book.outline if depth == 0 and squeezed(name) == title(chapter)]
    heads = [page - tops[0] for _, name, page in book.outline if name == "Solutions"]
    (start,) = [page for page in heads if 0 <= page < len(pages)]
    for source in code(chapter, "hide-cell"):
        assert stands(source, pages[start:])
        assert not stands(source, pages[:start])


def test_the_handout_without_solutions_has_none_and_the_other_has_all(handouts: list[Print]) -> None:
    without, with_solutions = handouts
    for source in code(HANDOUT, "hide-cell"):
        assert stands(source, with_solutions.texts)
        assert not stands(source, without.texts)
    assert not any("olution" in text for _, text, _ in without.outline)
    assert "Itssolutionstands" not in "".join(without.texts)


def test_a_handout_links_to_itself_and_to_the_web_only(handouts: list[Print]) -> None:
    for handout in handouts:
        outside = [str(link["/A"]["/URI"]) for _, link in links(handout) if "/Dest" not in link]
        assert all(re.match(r"https?://(?!book\.invalid)", address) for address in outside)


def test_a_handout_says_how_many_pages_it_has(handouts: list[Print]) -> None:
    for handout in handouts:
        count = len(handout.texts)
        assert all(f"{number}of{count}" in text for number, text in enumerate(handout.texts, start=1))


# ---- what goes wrong ----


def complain(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What the command says when it fails."""
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_without_a_site_the_command_says_to_build_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "_toc.yml").write_text("root: chapters/index\n")
    assert "make site" in complain(capsys, ["--root", str(tmp_path)])


def test_an_unknown_chapter_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    said = complain(capsys, ["--root", str(ROOT), "--chapter", "02_tokenisation"])
    assert "'02_tokenisation'" in said
    assert "02_tokenization" in said
    assert "10_applications/sentiment" in said


def test_a_browser_that_is_not_there_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_CHROMIUM", "/nowhere/chromium")
    said = complain(capsys, ["--root", str(ROOT), "--chapter", "02_tokenization"])
    assert "/nowhere/chromium" in said
    assert "COURSE_CHROMIUM" in said


def test_a_machine_without_chromium_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURSE_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    said = complain(capsys, ["--root", str(ROOT), "--chapter", "02_tokenization"])
    assert "apt install chromium" in said
