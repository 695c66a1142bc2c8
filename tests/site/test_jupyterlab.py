"""The learner's notebooks as a learner meets them: in JupyterLab, opened by `book.lab` in a folder of one's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from visit import ROOT

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that `book.lab` started on a new folder."""
    folder = tmp_path_factory.mktemp("lab")
    options = ["--no-browser", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="]
    names = {
        "RUNTIME": "JUPYTER_RUNTIME_DIR",
        "S": "JUPYTERLAB_SETTINGS_DIR",
        "W": "JUPYTERLAB_WORKSPACES_DIR",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "book.lab", "--own", str(folder / "own"), *options],
        cwd=ROOT,
        env=os.environ | {variable: str(folder / name) for name, variable in names.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said: list[str] = []
        while not (said and (address := re.search(r"http://127\.0\.0\.1:\d+/", said[-1]))):
            said.append(process.stdout.readline())
            assert said[-1], "".join(said)
        threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop it
        yield address[0]
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of the browser, and what it asked for in vain."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        expect.set_options(timeout=5_000)


def read(page: Page) -> str:
    """All Markdown of the notebook in front, rendered."""
    return "\n".join(page.locator(f"{PANEL} .jp-RenderedMarkdown").all_inner_texts())


def test_it_begins_with_a_page_that_says_where_to_begin(lab: str, page: Page) -> None:
    page.goto(lab)
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("Start here")
    expect(page.locator(".jp-toast-message, .Toastify__toast")).to_have_count(0)
    page.locator(f"{PANEL} .jp-RenderedMarkdown a", has_text="What a Transformer is").first.click()
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("What a Transformer is")


def test_a_chapter_reads_like_its_page_with_figures_code_and_solutions_folded(lab: str, page: Page) -> None:
    page.goto(f"{lab}lab/tree/03_padding.ipynb")
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("Padding")
    text = read(page)
    assert not re.search(r"\{(?:glue:text|term|cite|eq)|:::", text)
    assert re.search(r"Measured on the machine that built this edition: \d", text)
    source = json.loads((ROOT / "build" / "notebooks" / "03_padding.ipynb").read_text())
    folded = [c["id"] for c in source["cells"] if c["metadata"].get("jupyter", {}).get("source_hidden")]
    assert len(folded) > 5
    page.locator(f"{PANEL} h1").first.click()
    expect(page.locator(f"{PANEL} .jp-InputPlaceholder").first).to_be_attached()


def test_links_to_headings_terms_and_other_notebooks_arrive(lab: str, page: Page) -> None:
    page.goto(f"{lab}lab/tree/troubleshooting.ipynb")
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("Troubleshooting")
    link = page.locator(f"{PANEL} .jp-RenderedMarkdown td a").last
    cell = str(link.get_attribute("href")).partition("#cell-id=")[2]
    source = json.loads((ROOT / "build" / "notebooks" / "troubleshooting.ipynb").read_text())["cells"]
    [text] = ["".join(c["source"]) for c in source if c["id"] == cell]
    link.click()
    heading = page.locator(f"{PANEL} :is(h2, h3)", has_text=text.partition("\n")[0].lstrip("# "))
    expect(heading).to_be_in_viewport()
    term = page.locator(f"{PANEL} .jp-RenderedMarkdown a[title]").first
    assert len(str(term.get_attribute("title"))) > 20
    cell = str(term.get_attribute("href")).partition("#cell-id=")[2]
    source = json.loads((ROOT / "build" / "notebooks" / "glossary.ipynb").read_text())["cells"]
    [text] = ["".join(c["source"]) for c in source if c["id"] == cell]
    term.click()
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("Glossary")
    entry = page.locator(f"{PANEL} strong").get_by_text(text.split("**")[1], exact=True).first
    expect(entry).to_be_visible()
    page.locator(".lm-TabBar-tabLabel", has_text="troubleshooting").click()
    term.click()  # the glossary is laid out now, however slow the machine
    expect(entry).to_be_in_viewport()


def test_opening_a_notebook_leaves_the_clone_as_it_was(lab: str, page: Page) -> None:
    def changed() -> str:
        return subprocess.run(
            ["git", "status", "--porcelain", "chapters", "my-notebooks"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    before = changed()
    page.goto(f"{lab}lab/tree/04_attention.ipynb")
    expect(page.locator(f"{PANEL} h1").first).to_contain_text("Attention")
    page.keyboard.press("Control+s")
    assert changed() == before
    assert not Path(ROOT / "my-notebooks").exists() or "my-notebooks" in (ROOT / ".gitignore").read_text()
