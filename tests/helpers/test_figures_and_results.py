import html

import numpy as np
import plotly.graph_objects as go
import pytest
from myst_nb.core.variables import format_plain_text
from myst_nb.ext.glue import extract_glue_data_cell
from nbformat.v4 import new_code_cell, new_output

from helpers import results
from helpers.figures import COLOURS, finish
from helpers.results import Cost, glue
from helpers.viewer.heatmap import attention_heatmap


def test_a_figure_carries_its_finding_axes_and_text_alternative():
    fig = finish(go.Figure(), title="It grows", alt="A rising line", x="step", y="loss (nats)")
    assert fig.layout.title.text == "It grows"
    assert fig.layout.meta["alt"] == "A rising line"
    assert fig.layout.xaxis.title.text == "step"
    assert fig.layout.yaxis.title.text == "loss (nats)"


@pytest.mark.parametrize(("title", "alt"), [("", "x"), ("x", " "), (None, "x"), ("x", None)])
def test_a_figure_without_title_or_alternative_is_refused(title, alt):
    with pytest.raises(ValueError, match="alternative text"):
        finish(go.Figure(), title=title, alt=alt)


def test_the_heat_map_shows_each_heads_weights():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 4))
    fig = attention_heatmap(weights, list("abca"), title="t", alt="a")
    assert len(fig.data) == 3
    for trace, head in zip(fig.data, weights, strict=True):
        np.testing.assert_allclose(trace.z, head, atol=5e-5)
    assert [trace.visible for trace in fig.data] == [True, False, False]
    buttons = fig.layout.updatemenus[0].buttons
    assert [list(button.args[1]) for button in buttons] == [[i == h for i in range(3)] for h in range(3)]


def test_weights_that_do_not_fit_the_tokens_are_refused():
    with pytest.raises(ValueError, match=r"2 tokens need weights of shape \(heads, 2, 2\), not \(1, 3, 3\)"):
        attention_heatmap(np.zeros((1, 3, 3)), ["a", "b"], title="t", alt="a")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[[1.5, -0.5], [0, 1]]], r"not negative, but 1 of these are not, such as -0\.5"),
        ([[[np.nan, 1], [0, 1]]], "such as nan"),
        ([[[0.2, 0.2], [0, 1]]], r"sum to 0\.40 to 1\.00"),
    ],
)
def test_the_heat_map_draws_no_numbers_that_are_no_attention(weights, message):
    with pytest.raises(ValueError, match=message):
        attention_heatmap(np.array(weights), ["a", "b"], title="t", alt="a")


def test_the_heat_map_shows_markup_and_formulas_among_the_tokens_as_text():
    tokens = ["<s>", "&lt;", "$x$"]
    fig = attention_heatmap(np.full((1, 3, 3), 1 / 3), tokens, title="t", alt="a")
    for axis in (fig.layout.xaxis, fig.layout.yaxis):
        assert not any(sign in label for sign in "<>$" for label in axis.ticktext)
        assert [html.unescape(label) for label in axis.ticktext] == tokens
    assert html.unescape(fig.data[0].text[0][2]) == "<s> looks at $x$"


def test_the_heat_map_opens_on_the_head_asked_for():
    weights = np.full((3, 2, 2), 0.5)
    fig = attention_heatmap(weights, ["a", "b"], title="t", alt="a", head=2)
    assert [trace.visible for trace in fig.data] == [False, False, True]
    assert fig.layout.updatemenus[0].active == 2
    with pytest.raises(ValueError, match="Head 3 is not among 3 heads"):
        attention_heatmap(weights, ["a", "b"], title="t", alt="a", head=3)


def test_no_colour_stands_for_two_series():
    assert len(set(COLOURS)) == len(COLOURS)


def test_glue_records_what_the_published_page_reads(monkeypatch):
    shown = []
    monkeypatch.setattr(results, "display", lambda data, metadata, raw: shown.append((data, metadata)))
    glue(accuracy="0.80", n=3)
    outputs = [new_output("display_data", data=data, metadata=metadata) for data, metadata in shown]
    read = dict(extract_glue_data_cell(new_code_cell(outputs=outputs)))
    quoted = {name: format_plain_text(output["data"]["text/plain"], "") for name, output in read.items()}
    assert quoted == {"accuracy": "0.80", "n": "3"}


@pytest.mark.parametrize(
    ("seconds", "words"), [(48.4, "48 seconds"), (59.7, "1 min 00 s"), (125, "2 min 05 s"), (3, "3 seconds")]
)
def test_a_time_is_said_in_words(seconds, words):
    assert Cost(seconds, 0).time == words


def test_memory_is_said_in_gigabytes():
    assert Cost(1, 1_500_000_000).memory == "1.50 GB"
