"""Every page of the table of contents, at the widths and in the themes that readers use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ElementHandle, Locator, Page, Route
from visit import ROOT, SITE, Visit, expected_marks

from book.publish import pages
from book.repository import repository

PAGES = pages(ROOT / "_toc.yml")
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]
COLAB = "https://colab.research.google.com/github/"
WITHOUT_FIGURES, WITH_FIGURES = 900_000, 1_500_000  # bytes of a first visit, compressed

every_page = pytest.mark.parametrize("page", PAGES)
every_view = [
    every_page,
    pytest.mark.parametrize("width", [1280, 390]),
    pytest.mark.parametrize("theme", ["light", "dark"]),
]
Look = Callable[[str, int, str], Visit]


def in_every_view(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test on each page, at each width, in each theme."""
    for mark in every_view:
        test = mark(test)
    return test


@in_every_view
def test_a_page_follows_the_theme_and_asks_for_nothing_outside(
    visit: Look, page: str, width: int, theme: str
) -> None:
    seen = visit(page, width, theme)
    assert seen.theme == theme
    assert seen.outside == []


@in_every_view
def test_a_page_loads_without_error_and_without_a_failed_request(
    visit: Look, page: str, width: int, theme: str
) -> None:
    seen = visit(page, width, theme)
    assert seen.errors == []
    assert seen.failed == []


@in_every_view
def test_every_formula_is_typeset(visit: Look, page: str, width: int, theme: str) -> None:
    maths = visit(page, width, theme).maths
    assert maths["drawn"] == maths["nodes"]
    assert maths["wrong"] == 0
    assert maths["raw"] == []
    assert maths["font"] or not maths["nodes"]


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_a_page_shows_every_figure_frame_and_view_that_its_notebook_made(visit: Look, page: str) -> None:
    notebook = json.loads((ROOT / "build" / "executed" / f"{page}.ipynb").read_text(encoding="utf-8"))
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    markup = ["".join(output.get("text/html", "")) for output in outputs]
    made = {
        "figures": sum("application/vnd.plotly.v1+json" in output for output in outputs),
        "frames": sum(html.count("<iframe") for html in markup if "course-attention" not in html),
        "views": sum('class="course-attention"' in html for html in markup),
    }
    seen = visit(page, 1280, "light")
    assert {name: len(getattr(seen, name)) for name in made} == made
    assert made["figures"] > 0


@in_every_view
def test_every_figure_shows_as_many_marks_as_its_data_have(
    visit: Look, page: str, width: int, theme: str
) -> None:
    for figure in visit(page, width, theme).figures:
        expected = expected_marks(figure)
        histogram = any(trace.get("type") == "histogram" for trace in json.loads(figure["json"])["data"])
        found = {name: figure[name] for name in expected}
        if histogram:
            assert found.pop("bars") >= expected.pop("bars"), figure["label"]
        assert found == expected, figure["label"]
        assert figure["images"] == len(expected["cells"]), figure["label"]


@in_every_view
def test_a_figure_keeps_the_height_that_was_kept_for_it(
    visit: Look, page: str, width: int, theme: str
) -> None:
    for figure in visit(page, width, theme).figures:
        assert figure["height"] == pytest.approx(figure["declared"], abs=1), figure["label"]


@in_every_view
def test_no_text_of_a_figure_is_cut_at_its_edge(visit: Look, page: str, width: int, theme: str) -> None:
    for figure in visit(page, width, theme).figures:
        assert figure["cut"] == [], figure["label"]


@in_every_view
def test_every_frame_has_drawn_its_view_and_fits_the_page(
    visit: Look, page: str, width: int, theme: str
) -> None:
    for frame in visit(page, width, theme).frames:
        assert frame["title"]
        assert frame["drawing"] or frame["canvas"], frame["title"]
        assert not frame["wide"], frame["title"]


@in_every_view
def test_every_attention_view_is_drawn_in_the_pages_theme_and_fits(
    visit: Look, page: str, width: int, theme: str
) -> None:
    for view in visit(page, width, theme).views:
        assert view["drawn"] is not None, view["title"]
        assert view["heads"] > 1
        assert view["shades"] > 20, view["title"]
        assert view["cells"] > 3
        assert view["tokens"] > 3
        assert not view["wide"], view["title"]
        assert (_brightness(view["colour"]) > 128) == (theme == "dark"), view["title"]


@in_every_view
def test_a_page_does_not_scroll_sideways(visit: Look, page: str, width: int, theme: str) -> None:
    seen = visit(page, width, theme)
    assert seen.sideways == 0, seen.widest


@every_page
def test_code_and_printed_text_are_seen_whole_at_1280_pixels(visit: Look, page: str) -> None:
    assert visit(page, 1280, "light").cut == []


@in_every_view
def test_neighbouring_cells_of_a_table_stand_8_pixels_apart(
    visit: Look, page: str, width: int, theme: str
) -> None:
    assert visit(page, width, theme).crowded == []


@every_page
def test_all_tables_of_outputs_look_alike(visit: Look, page: str) -> None:
    assert len(visit(page, 1280, "light").looks) <= 1


@in_every_view
def test_axe_finds_nothing_serious_or_critical(visit: Look, page: str, width: int, theme: str) -> None:
    assert visit(page, width, theme).violations == []


@every_page
def test_figures_are_readable_in_both_themes(visit: Look, page: str) -> None:
    light = [figure["colour"] for figure in visit(page, 1280, "light").figures]
    dark = [figure["colour"] for figure in visit(page, 1280, "dark").figures]
    for day, night in zip(light, dark, strict=True):
        if day is None:  # a figure without axes, legend or notes has no text of its own
            continue
        assert _brightness(day) < 128 < _brightness(night)


def _brightness(colour: str) -> float:
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


@every_page
def test_a_first_visit_stays_within_its_weight(visit: Look, page: str) -> None:
    seen = visit(page, 1280, "light")
    assert 10_000 < seen.received <= (WITH_FIGURES if seen.figures else WITHOUT_FIGURES)


@every_page
def test_the_plotting_script_is_loaded_only_where_there_are_figures(visit: Look, page: str) -> None:
    seen = visit(page, 1280, "light")
    assert any("plotly" in address for address in seen.requested) == bool(seen.figures)


@every_page
def test_the_icons_come_without_the_fonts_and_script_of_the_theme(visit: Look, page: str) -> None:
    assert [name for name in visit(page, 1280, "light").requested if "fontawesome" in name] == []


@every_page
def test_every_picture_is_there_and_says_what_it_shows(visit: Look, page: str) -> None:
    seen = visit(page, 1280, "light")
    for picture in seen.pictures:
        assert picture["drawn"] or not picture["inText"], picture["source"]
        assert picture["alt"], picture["source"]
    for figure in seen.figures:
        assert len(figure["label"]) > 20


class Links(HTMLParser):
    """Collects the addresses that a page's elements name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a link leads to, and what the browser loads of itself."""
        named = dict(attributes)
        if tag == "a" and (target := named.get("href")):
            self.links.append(target)
        for name in ("src", "srcset", "data-plotly"):
            if tag != "a" and (target := named.get(name)):
                self.loaded.append(target)
        if tag == "link" and (target := named.get("href")):
            self.loaded.append(target)


@every_page
def test_a_page_names_no_outside_address_to_load_from(site: Path, page: str) -> None:
    loaded = Links((site / f"{page}.html").read_text(encoding="utf-8")).loaded
    assert len(loaded) > 5
    assert [address for address in loaded if "//" in address and not address.startswith("data:")] == []


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_the_launch_buttons_open_this_very_notebook_of_the_learners_edition(site: Path, page: str) -> None:
    name = f"{page.removeprefix('chapters/')}.ipynb"
    links = Links((site / f"{page}.html").read_text(encoding="utf-8")).links
    opened = [link for link in links if link.startswith(("https://mybinder.org/v2/", COLAB))]
    place = repository(ROOT)
    if place is None:
        assert opened == []
    else:
        assert opened[0].endswith(f"/notebooks?urlpath=lab/tree/{name}")
        assert opened[1:] == [f"{COLAB}{place.path}/blob/notebooks/{name}"] * (place.provider == "github")
    assert (ROOT / "build" / "notebooks" / name).is_file()


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_the_notebook_for_download_is_that_of_the_learners_edition(site: Path, page: str) -> None:
    name = f"{page.removeprefix('chapters/')}.ipynb"
    links = Links((site / f"{page}.html").read_text(encoding="utf-8")).links
    assert [link for link in links if link.endswith(f"_sources/{page}.ipynb")] != []
    given = (site / "_sources" / f"{page}.ipynb").read_bytes()
    assert given == (ROOT / "build" / "notebooks" / name).read_bytes()


@every_page
def test_a_page_has_no_link_to_a_missing_page(site: Path, page: str) -> None:
    links = Links((site / f"{page}.html").read_text(encoding="utf-8")).links
    for link in links:
        path = link.split("#")[0].split("?")[0]
        if path and ":" not in path:
            assert (site / page).parent.joinpath(path).resolve().exists(), link


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page in a window of its own."""
    contexts = []

    def open_one(name: str, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{address}{name}")
        return page

    yield open_one
    for context in contexts:
        context.close()


def test_the_root_of_the_site_leads_to_the_first_page(open_page: Callable[..., Page], address: str) -> None:
    page = open_page("")
    page.wait_for_url(f"{address}{PAGES[0]}.html")


@pytest.mark.parametrize("word", ["tokenization", "wordpiece"])  # in a title, in the text
def test_search_finds_a_word_of_a_page(open_page: Callable[..., Page], word: str) -> None:
    page = open_page(f"search.html?q={word}")
    page.wait_for_selector("#search-results li a")
    targets = page.eval_on_selector_all("#search-results li a", "links => links.map((link) => link.pathname)")
    assert "/chapters/02_tokenization.html" in targets


def test_search_opens_from_any_page_by_keyboard(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{PAGES[1]}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("padding")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}search.html?q=padding*")


def test_the_first_stop_of_the_keyboard_skips_to_the_text(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{PAGES[1]}.html")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent.trim()") == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => !!document.activeElement.closest('main')")


def test_the_chapters_can_be_reached_by_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{PAGES[1]}.html")
    reached = set()
    for _ in range(15):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.closest('nav.bd-links a')?.pathname ?? ''"))
    assert {f"/{name}.html" for name in PAGES[2:4]} <= reached


def test_the_chapters_can_be_reached_on_a_phone(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(f"{PAGES[1]}.html", width=390)
    button = page.locator("button.primary-toggle:visible")
    button.focus()
    page.keyboard.press("Enter")
    link = page.locator(f"#pst-primary-sidebar-modal a[href*='{PAGES[2].rsplit('/', 1)[1]}']")
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}{PAGES[2]}.html")


def with_menus() -> list[str]:
    """The pages that have a figure with a menu above it."""
    built = ((page, SITE / f"{page}.html") for page in PAGES)
    return [
        page for page, path in built if path.is_file() and "<select data-control=" in path.read_text("utf-8")
    ]


SHOWN = """plot => plot.dataset.drawn && JSON.stringify(plot._fullData.map(
  (trace) => [trace.visible, trace.name, trace.z?.[0], trace.x?.slice?.(0, 20), trace.y?.slice?.(0, 20), trace.text?.[0]]))"""
CHANGED = f"([plot, before]) => ({SHOWN})(plot) !== before"


def controlled(window: Page) -> tuple[Locator, ElementHandle]:
    """The first menu of a page and the plot below it."""
    figure = window.locator(".course-figure:has(select)").first
    return figure.locator("select").first, figure.locator(".course-plot").element_handle()


def wait_until_changed(window: Page, plot: ElementHandle, before: str) -> str:
    """What the plot shows once that is no longer what it showed before."""
    window.wait_for_function(CHANGED, arg=[plot, before])
    return plot.evaluate(SHOWN)


@pytest.mark.parametrize("page", with_menus())
def test_a_choice_above_a_figure_changes_what_it_shows(open_page: Callable[..., Page], page: str) -> None:
    window = open_page(f"{page}.html")
    menu, plot = controlled(window)
    menu.scroll_into_view_if_needed()
    window.wait_for_function("plot => plot.dataset.drawn", arg=plot)
    before = plot.evaluate(SHOWN)
    menu.focus()
    window.keyboard.press("ArrowDown")
    wait_until_changed(window, plot, before)


@pytest.mark.parametrize("page", with_menus())
def test_a_choice_made_before_the_figure_is_drawn_is_kept(open_page: Callable[..., Page], page: str) -> None:
    window = open_page("search.html")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    window.route("**/plotly.js", hold)
    with window.expect_request("**/plotly.js"):
        window.goto(window.url.replace("search", page), wait_until="domcontentloaded")
        menu, plot = controlled(window)
        menu.select_option(index=1)
    while not held:
        window.evaluate("() => 0")  # lets the browser's messages arrive
    held[0].continue_()
    window.wait_for_function("plot => plot.dataset.drawn", arg=plot)
    chosen = plot.evaluate(f"plot => new Promise((next) => setTimeout(() => next(({SHOWN})(plot)), 0))")
    menu.select_option(index=0)
    wait_until_changed(window, plot, chosen)


@pytest.mark.parametrize("page", with_menus())
def test_a_figure_keeps_the_choice_when_the_theme_changes(open_page: Callable[..., Page], page: str) -> None:
    window = open_page(f"{page}.html")
    menu, plot = controlled(window)
    menu.scroll_into_view_if_needed()
    window.wait_for_function("plot => plot.dataset.drawn", arg=plot)
    before = plot.evaluate(SHOWN)
    light = plot.evaluate("plot => plot._fullLayout.font.color")
    menu.select_option(index=1)
    chosen = wait_until_changed(window, plot, before)
    window.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
    window.wait_for_function("([plot, light]) => plot._fullLayout.font.color !== light", arg=[plot, light])
    assert plot.evaluate(SHOWN) == chosen
