"""Building and serving the site: what is rebuilt, what survives a failure, what the reader is told."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from visit import ROOT

from book import assets, serve
from book import site as builder

PROSE = "# Start\n\nThe first words.\n\n$$\na = b\n$$ (sums)\n\nSee {eq}`sums` and [the next page](two.md).\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of two pages that uses the course's settings and installed assets."""
    if not (ROOT / "build/assets/installed").is_file():
        pytest.fail("the browser assets are not in build/assets: run make site first", pytrace=False)
    (tmp_path / "chapters").mkdir()
    (tmp_path / "build").mkdir()
    (tmp_path / "build/assets").symlink_to(ROOT / "build/assets")
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/one\nchapters:\n- file: chapters/two\n"
    )
    (tmp_path / "chapters/one.md").write_text(PROSE)
    (tmp_path / "chapters/two.md").write_text("# Second\n\nMore words.\n")
    (tmp_path / "chapters/references.bib").write_text(
        "@misc{a, title={A title}, author={B, C}, year={2020}}\n"
    )
    return tmp_path


def build(root: Path) -> int:
    return builder.main(["--root", str(root)])


def page(root: Path, name: str) -> str:
    return (root / f"build/site/chapters/{name}.html").read_text()


def test_formulas_are_typeset_into_the_page_and_referred_to_by_number(root: Path) -> None:
    assert build(root) == 0
    html = page(root, "one")
    assert html.count('class="katex-html"') == 1
    assert "a = b</annotation>" in html
    assert 'href="#equation-sums">(1)</a>' in html


def test_a_page_without_formulas_does_not_load_the_style_of_formulas(root: Path) -> None:
    build(root)
    assert "katex.css" in page(root, "one")
    assert "katex.css" not in page(root, "two")


def test_a_change_of_prose_reads_one_page_again(root: Path) -> None:
    build(root)
    doctrees = root / "build/doctrees/chapters"
    before = {path.name: path.stat().st_mtime_ns for path in doctrees.glob("*.doctree")}
    (root / "chapters/two.md").write_text("# Second\n\nOther words.\n")
    assert build(root) == 0
    after = {path.name: path.stat().st_mtime_ns for path in doctrees.glob("*.doctree")}
    assert {name for name in after if after[name] != before[name]} == {"two.doctree"}
    assert "Other words." in page(root, "two")


def test_a_change_of_a_style_reaches_the_site(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(root)
    lay_out = assets.lay_out

    def changed(installed: Path, static: Path) -> None:
        lay_out(installed, static)
        (static / "course/course.css").write_text("body { color: red }")

    monkeypatch.setattr(assets, "lay_out", changed)
    assert build(root) == 0
    assert (root / "build/site/_static/course/course.css").read_text() == "body { color: red }"


def test_a_new_page_stands_in_the_sidebar_of_every_page(root: Path) -> None:
    build(root)
    (root / "chapters/three.md").write_text("# Third\n\nStill more.\n")
    (root / "_toc.yml").write_text((root / "_toc.yml").read_text() + "- file: chapters/three\n")
    assert build(root) == 0
    for page in ("one", "two"):
        assert "three.html" in (root / f"build/site/chapters/{page}.html").read_text()


def test_a_warning_fails_the_build_each_time_and_leaves_the_last_good_site(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(root)
    good = page(root, "one")
    (root / "chapters/one.md").write_text(PROSE + "\nSee {eq}`nowhere` and {cite}`nobody`.\n")
    for _ in range(2):
        assert build(root) == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("site: ")
        assert "one.md" in last
        assert page(root, "one") == good
    (root / "chapters/one.md").write_text(PROSE)
    assert build(root) == 0


def test_a_formula_that_cannot_be_typeset_fails_the_build_and_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "chapters/two.md").write_text("# Second\n\nA slip: $\\fraction{1}{2}$.\n")
    assert build(root) == 1
    errors = capsys.readouterr().err
    assert "two.md" in errors
    assert "\\fraction" in errors


def test_the_site_keeps_no_page_that_left_the_contents(root: Path) -> None:
    build(root)
    (root / "_toc.yml").write_text("format: jb-book\nroot: chapters/one\n")
    (root / "chapters/one.md").write_text("# Start\n\nAlone.\n")
    assert build(root) == 0
    assert not (root / "build/site/chapters/two.html").exists()


def test_the_lock_names_no_registry_and_pins_every_package() -> None:
    lock = json.loads((assets.HERE / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for entry in packages.values():
        assert "resolved" not in entry
        assert entry["integrity"].startswith("sha512-")
    wanted = json.loads((assets.HERE / "package.json").read_text())
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_the_drawing_script_is_the_one_that_the_installed_plotly_was_made_for() -> None:
    from plotly.offline import get_plotlyjs_version

    wanted = json.loads((assets.HERE / "package.json").read_text())
    assert wanted["dependencies"]["plotly.js-cartesian-dist-min"] == get_plotlyjs_version()


def test_assets_are_installed_again_only_when_their_lock_changes(tmp_path: Path) -> None:
    stamp = tmp_path / "installed"
    stamp.write_text(assets.fingerprint())
    assert assets.install(tmp_path) is False
    source = tmp_path / "source"
    source.mkdir()
    for name in assets.LOCK_FILES:
        (source / name).write_bytes((assets.HERE / name).read_bytes())
    assert assets.fingerprint(source) == assets.fingerprint()
    (source / "package-lock.json").write_text("{}")
    assert assets.fingerprint(source) != assets.fingerprint()


def test_a_failed_installation_says_why_and_is_not_taken_for_done(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in assets.LOCK_FILES:
        (source / name).write_text("not json" if name.endswith(".json") else "")
    for _ in range(2):
        with pytest.raises(assets.AssetsError, match="npm ci failed"):
            assets.install(tmp_path / "installed-here", source)


def test_only_woff2_fonts_are_asked_for() -> None:
    style = (ROOT / "build/assets/node_modules/katex/dist/katex.min.css").read_text()
    kept = assets.katex_style(style)
    assert kept.count(".woff2)") == style.count(".woff2)") > 10
    assert ".ttf" not in kept
    assert ".woff)" not in kept


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "build/site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("hello")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert serve.main(["--port", str(port), "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"port {port} is taken" in line
    assert "make book PORT=" in line


def test_serving_without_a_site_says_how_to_build_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main(["--root", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "make site" in line
