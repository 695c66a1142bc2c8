"""The site under a path of a server that it shares, as GitHub Pages and GitLab Pages serve it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from visit import ROOT

from book.publish import pages

DEEP, WITH_VIEW = "chapters/10_applications/sentiment", "chapters/04_attention"
LOCAL = re.compile(r"""\b(?:href|src|srcset|action|data-plotly)="(?![a-z]+:|\#)([^"]*)\"""")
LEFT = "net::ERR_ABORTED"  # what a page still loads when the reader leaves it


@pytest.mark.parametrize("page", [*pages(ROOT / "_toc.yml"), "index", "search", "genindex"])
def test_no_page_names_an_address_from_the_servers_root(site: Path, page: str) -> None:
    addresses = LOCAL.findall((site / f"{page}.html").read_text(encoding="utf-8"))
    assert addresses
    assert [address for address in addresses if address.startswith("/")] == []


def test_a_first_visit_below_a_path_stays_below_it(browser: Browser, address_below: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    asked, failed, errors = [], [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("requestfailed", lambda request: failed.append(request) if request.failure != LEFT else None)
    tab.on("response", lambda answer: failed.append(answer) if answer.status >= 400 else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))

    tab.goto(address_below)
    tab.wait_for_url(f"{address_below}chapters/index.html")
    tab.locator(f'.bd-sidebar-primary a[href$="{WITH_VIEW.rpartition("/")[2]}.html"]').first.click()
    tab.wait_for_url(f"{address_below}{WITH_VIEW}.html")
    tab.locator(".course-attention[data-drawn]").first.wait_for()

    tab.locator(f'.bd-sidebar-primary a[href$="{DEEP.rpartition("/")[2]}.html"]').first.click()
    tab.wait_for_url(f"{address_below}{DEEP}.html")
    tab.locator(".course-plot").first.scroll_into_view_if_needed()
    tab.locator(".course-plot[data-drawn] svg").first.wait_for()

    tab.goto(f"{address_below}search.html?q=attention+mask")
    found = tab.locator("#search-results li a").first
    found.wait_for()
    found.click()
    tab.wait_for_url(re.compile(re.escape(address_below) + r"chapters/.*\.html"))
    context.close()

    scripts = {url.rpartition("/")[2].partition("?")[0] for url in asked}
    assert {"plotly.js", "figures.js", "page.js", "searchindex.js"} <= scripts
    assert [url for url in asked if not url.startswith((address_below, "data:", "blob:"))] == []
    assert [entry.url for entry in failed] == []
    assert errors == []
