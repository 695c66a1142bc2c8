"""The Markdown of a learner's notebook: no MyST is left, and each reference leads where it should."""

import pytest
from markdown_it import MarkdownIt
from pybtex.database import parse_string

from book.edition.markdown import Plain, hint
from book.edition.references import EditionError, References, Term, glossary

PAGE = "chapters/10_applications/sentiment"
BIB = """
@article{web, author = {Ada Lovelace and Charles Babbage}, title = {Notes}, year = {1843}, url = {https://example.org/notes}}
@book{shelf, author = {A One and B Two and C Three}, title = {On Shelves}, year = {1999}}
@misc{byid, author = {Name, Some}, title = {With a number}, year = {2020}, doi = {10.1000/1}}
"""


@pytest.fixture
def plain():
    logit = Term(("logit", "score"), 'A number "before" softmax. See [there](x.ipynb).')
    references = References(
        titles={
            PAGE: "Sentiment",
            "chapters/index": "The book",
            "chapters/04_attention": "Attention",
            "chapters/glossary": "Glossary",
            "chapters/bibliography": "Bibliography",
        },
        anchors={
            PAGE: {"what-is-it": ("intro", "What is it?"), "code-too": ("more", "code too")},
            "chapters/04_attention": {"the-block": ("block-parts", "The block")},
        },
        equations={"eq-own": (PAGE, "2", "own"), "eq-other": ("chapters/04_attention", "7", "far")},
        terms={"logit": logit, "score": logit},
        bibliography=parse_string(BIB, "bibtex"),
    )
    return Plain(PAGE, references, {"share": "85 %", "odd": "a_b*c $5 <b> [x]"})


@pytest.mark.parametrize(
    ("myst", "wanted"),
    [
        ("{glue:text}`share` right", "85 % right"),
        (
            "a {term}`logit` is",
            'a [logit](../glossary.ipynb#cell-id=term-logit "A number ”before” softmax.") is',
        ),
        (
            "{term}`scores <score>`",
            '[scores](../glossary.ipynb#cell-id=term-logit "A number ”before” softmax.")',
        ),
        ("as {eq}`eq-own` says", "as [(2)](sentiment.ipynb#cell-id=own) says"),
        ("as {eq}`eq-other` says", "as [(7)](../04_attention.ipynb#cell-id=far) says"),
        ("so {cite}`web`", "so [[Lovelace and Babbage, 1843](https://example.org/notes)]"),
        (
            "so {cite}`shelf,byid`",
            "so [[Name, 2020](https://doi.org/10.1000/1), [One *et al\\.*, 1999](../bibliography.ipynb#cell-id=letter-s)]",
        ),
        ("{cite:t}`web` say", "[Lovelace and Babbage \\[1843\\]](https://example.org/notes) say"),
        ("[there](../04_attention.ipynb#the-block)", "[there](../04_attention.ipynb#cell-id=block-parts)"),
        ("[](../04_attention.ipynb)", "[Attention](../04_attention.ipynb)"),
        ("[start](../index.md)", "[start](../00_start.ipynb)"),
        ("[above](#what-is-it)", "[above](sentiment.ipynb#cell-id=intro)"),
        ("[out](https://example.org/a.md#b)", "[out](https://example.org/a.md#b)"),
        ("## What is it?", "## What is it?"),
        ("Read\n: These pages.", "- **Read**: These pages."),
        ("$$ x = 1 $$ (eq-own)", "$$ x = 1 \\tag{2}\n$$"),
        ("$$\nx = 1\n$$", "$$\nx = 1\n$$"),
        ("`{cite}` and ``{term}`x` `` stay", "`{cite}` and ``{term}`x` `` stay"),
        ("```\n{term}`nothing`\n```", "```\n{term}`nothing`\n```"),
        (":::{warning}\n**Mind it.** Text.\n\nMore.\n:::", "> **Warning.** **Mind it.** Text.\n>\n> More."),
        (":::{note}\nText.\n:::", "> **Note**\n>\n> Text."),
    ],
)
def test_myst_becomes_plain(plain, myst, wanted):
    assert plain.text(myst) == wanted


def test_a_value_is_shown_as_it_was_recorded_whatever_signs_it_has(plain):
    [paragraph] = [t for t in MarkdownIt().parse(plain.text("{glue:text}`odd`")) if t.type == "inline"]
    assert [child.type for child in paragraph.children] == ["text"] * len(paragraph.children)
    assert "".join(child.content for child in paragraph.children) == "a_b*c $5 <b> [x]"


@pytest.mark.parametrize(
    ("myst", "named"),
    [
        ("{glue:text}`absent`", "absent"),
        ("{term}`absent`", "absent"),
        ("{eq}`eq-absent`", "eq-absent"),
        ("{cite}`absent`", "absent"),
        ("[x](absent.ipynb)", "chapters/10_applications/absent"),
        ("[x](#absent)", "absent"),
        ("{numref}`fig`", "numref"),
        (":::{tip}\nx\n:::", "tip"),
    ],
)
def test_what_the_book_does_not_have_is_named_with_its_page(plain, myst, named):
    with pytest.raises(EditionError, match=PAGE) as caught:
        plain.text(myst)
    assert repr(named) in str(caught.value)


def test_the_glossary_is_read_entry_by_entry():
    text = "# Glossary\n\n```{glossary}\nlogit\nscore\n  A number.\n\n  A second paragraph.\n\ntoken\n  A piece.\n```\n"
    assert glossary(text) == [
        Term(("logit", "score"), "A number.\n\nA second paragraph."),
        Term(("token",), "A piece."),
    ]


def test_a_hint_is_the_first_sentence_without_marks():
    text = "A *mean* of {term}`values <value>` ($v$), see [there](a.ipynb). More."
    assert hint(text) == "A mean of values (v), see there."
