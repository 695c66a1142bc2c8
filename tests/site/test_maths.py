"""Formulas as the site typesets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from visit import ROOT

from book.maths import MathsError, Typesetter


@pytest.fixture
def katex() -> Iterator[Typesetter]:
    """KaTeX as installed for the site."""
    script = ROOT / "build/assets/node_modules/katex/dist/katex.min.js"
    if not script.is_file():
        pytest.fail("KaTeX is not in build/assets: run make site first", pytrace=False)
    typesetter = Typesetter(script)
    yield typesetter
    typesetter.close()


def test_a_formula_is_drawn_for_the_eye_and_said_for_screen_readers(katex: Typesetter) -> None:
    html = katex.html(r"\frac{QK^\top}{\sqrt{d_k}}", display=False)
    assert "<mfrac>" in html
    assert 'class="katex-html" aria-hidden="true"' in html
    assert "katex-display" not in html


@pytest.mark.parametrize("environment", ["equation", "align", "gather", "multline", "eqnarray"])
def test_an_environment_is_typeset_without_a_number_of_its_own(katex: Typesetter, environment: str) -> None:
    body = "a = b" if environment == "equation" else r"a = b \\ c = d"
    html = katex.html(rf"\begin{{{environment}}}{body}\end{{{environment}}}", display=True)
    assert "katex-display" in html
    assert "eqn-num" not in html


def test_a_slip_is_named_and_the_next_formula_is_typeset_all_the_same(katex: Typesetter) -> None:
    with pytest.raises(MathsError, match=r"\\fraction"):
        katex.html(r"\fraction{1}{2}", display=False)
    assert "katex-html" in katex.html("x", display=False)


def test_many_formulas_come_back_in_the_order_they_were_asked(katex: Typesetter) -> None:
    for number in range(50):
        assert f"<mn>{number}</mn>" in katex.html(f"x_{{{number}}}", display=bool(number % 2))


def test_letters_beyond_ascii_survive(katex: Typesetter) -> None:
    assert "größer" in katex.html(r"\text{größer}", display=False)


def test_after_closing_the_next_formula_starts_it_again(katex: Typesetter) -> None:
    katex.html("a", display=False)
    katex.close()
    assert "katex-html" in katex.html("b", display=False)


def test_a_missing_katex_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Typesetter(tmp_path / "nowhere.js")
