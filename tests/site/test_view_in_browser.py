"""The attention view in a browser: the numbers drawn are the numbers computed, by mouse, key and touch."""

import base64
import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.attention import Attention
from helpers.viewer.attention_view import attention_view
from helpers.viewer.heatmap import attention_heatmap

STORED = 1 / 510 + 1e-6
SHOWN = 0.0005 + STORED
"""A table shows three decimals of a weight stored in one byte."""

TOKENS = ["[CLS]", "un", "##fair", "film", "[SEP]", "no", "[SEP]", "[PAD]"]
TYPES = [0, 0, 0, 0, 0, 1, 1, 0]
MASK = [1, 1, 1, 1, 1, 1, 1, 0]
WORDS = [None, 0, 0, 1, None, 0, None, None]
SPECIAL = [token in ("[CLS]", "[SEP]", "[PAD]") for token in TOKENS]


def made(seed=0, layers=3, heads=2, d_k=4):
    generator = torch.Generator().manual_seed(seed)
    queries, keys = 2 * torch.randn(2, layers, heads, len(TOKENS), d_k, generator=generator)
    scores = queries @ keys.transpose(-2, -1) / d_k**0.5
    weights = scores.masked_fill(~torch.tensor(MASK, dtype=torch.bool), -torch.inf).softmax(-1)
    return Attention(TOKENS, TYPES, weights, MASK, WORDS, queries=queries, keys=keys, special=SPECIAL)


FIRST, SECOND = made(0), made(1)


@pytest.fixture
def show(browser):
    """Opens views on a page of their own and gives the page; nothing may go wrong or leave it."""
    contexts, problems = [], []

    def open_page(*views, width=1280, theme="light", scripts=True, body=""):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if "://" in request.url else None)
        content = "".join(view.data for view in views)
        page.set_content(
            '<!doctype html><html lang="en"><head><title>views</title><meta name="viewport" '
            f'content="width=device-width"></head><body {body}><main><h1>Views</h1>{content}</main></body></html>'
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def table(page, view=0):
    """The weights that the table says, and the names of its columns."""
    box = page.locator(".course-attention").nth(view)
    if not box.locator("table").count():
        box.locator("summary").click()
        box.locator("tbody").wait_for()
    rows = box.locator("tbody tr").all()
    numbers = [
        [float(cell.replace("−", "-")) for cell in row.locator("td").all_text_contents()] for row in rows
    ]
    return np.array(numbers), box.locator("thead th").all_text_contents()


def choose(page, **choices):
    for name, value in choices.items():
        page.locator(f"[data-part={name}]").first.select_option(str(value))


def rollout(weights, layer):
    """Abnar and Zuidema's rollout, by matrix products in float64."""
    n = weights.shape[-1]
    product = np.eye(n)
    for attention in weights[: layer + 1].double().numpy():
        product = (0.5 * attention.mean(axis=0) + 0.5 * np.eye(n)) @ product
    return product


@pytest.mark.parametrize(
    ("way", "computed", "tolerance"),
    [
        ("head", lambda weights: weights[2, 1].numpy(), SHOWN),
        ("mean", lambda weights: weights[2].mean(0).numpy(), SHOWN),
        ("max", lambda weights: weights[2].amax(0).numpy(), SHOWN),
        ("rollout", lambda weights: rollout(weights, 2), 3 * SHOWN),
    ],
)
def test_the_numbers_of_the_table_are_the_numbers_computed(show, way, computed, tolerance):
    page = show(attention_view(FIRST))
    choose(page, layer=2, head=1, show=way)
    numbers, names = table(page)
    assert names == TOKENS
    np.testing.assert_allclose(numbers, computed(FIRST.weights), atol=tolerance)
    assert (numbers[:, -1] == 0).all() or way == "rollout"


def shares(page):
    """How far each cell's colour has gone from that of zero to that of the largest weight, 0 to 1."""
    fills = page.locator("[data-drawing=matrix] > rect[fill^=rgb]").evaluate_all(
        "cells => cells.map(cell => cell.getAttribute('fill').match(/\\d+/g).map(Number))"
    )
    fills = np.array(fills, dtype=float)
    back = fills[fills.sum(axis=1).argmax()]
    ends = fills[fills.sum(axis=1).argmin()]
    return (np.abs(fills - back) / np.abs(ends - back).clip(1)).max(axis=1)


def test_the_colour_of_each_cell_is_its_weights_share_of_the_largest(show):
    page = show(attention_view(FIRST, layer=1))
    weights = FIRST.weights[1, 0].numpy().ravel()
    np.testing.assert_allclose(shares(page), weights / weights.max(), atol=0.012)


def test_each_thumbnail_of_the_grid_is_its_heads_matrix(show):
    page = show(attention_view(FIRST))
    pixels = np.array(
        page.evaluate("""() => {
          const canvas = document.querySelector(".course-attention").shadowRoot.querySelector("canvas");
          const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Array.from({ length: data.length / 4 / width }, (_, row) =>
            Array.from(data.slice(4 * row * width, 4 * (row + 1) * width)).filter((_, i) => i % 4 === 0));
        }"""),
        dtype=float,
    )
    n = len(TOKENS)
    for layer in range(3):
        for head in range(2):
            weights = FIRST.weights[layer, head].numpy()
            thumbnail = pixels[layer * (n + 1) :, head * (n + 1) :][:n, :n]
            np.testing.assert_allclose(1 - thumbnail / 255, weights / weights.max(), atol=0.012)


def test_the_widest_line_is_the_largest_weight_and_there_are_as_many_as_weights_from_two_hundredths(show):
    page = show(attention_view(FIRST))
    widths = page.locator("[data-lines=lines] path").evaluate_all(
        "lines => lines.map(l => +l.getAttribute('stroke-width'))"
    )
    weights = FIRST.weights[0, 0].numpy().ravel()
    assert abs(len(widths) - (weights >= 0.02).sum()) <= (np.abs(weights - 0.02) < STORED).sum()
    expected = 0.4 + 3.6 * np.sort(weights)[::-1][:5] / weights.max()
    np.testing.assert_allclose(sorted(widths, reverse=True)[:5], expected, atol=0.02)


def test_pieces_become_words_weights_to_them_added_and_from_them_averaged(show):
    page = show(attention_view(FIRST))
    page.locator("[data-part=words]").check()
    numbers, names = table(page)
    assert names == ["[CLS]", "unfair", "film", "[SEP]", "no", "[SEP]", "[PAD]"]
    weights = FIRST.weights[0, 0].numpy()
    columns = np.column_stack([weights[:, 0], weights[:, 1] + weights[:, 2], weights[:, 3:]])
    expected = np.vstack([columns[0], (columns[1] + columns[2]) / 2, columns[3:]])
    np.testing.assert_allclose(numbers, expected, atol=0.0005 + 2 * STORED)


def test_pieces_of_a_character_become_the_character(show):
    tokens = ["<s>", "Ġ", "ðŁĺ", "į", "Ã©", "t", "Ã©"]  # " 😍été" in bytes, the first character cut in two
    weights = torch.full((1, 1, 7, 7), 1 / 7)
    words, special = [None, 0, 0, 0, 1, 1, 1], [True, *[False] * 6]
    page = show(
        attention_view(Attention(tokens, [0] * 7, weights, word_ids=words, special=special, byte_level=True))
    )
    assert table(page)[1] == ["<s>", "Ġ", "😍⋯", "⋯😍", "é", "t", "é"]
    page.locator("[data-part=words]").check()
    assert table(page)[1] == ["<s>", "😍", "été"]


def test_a_heat_map_shows_every_token_on_its_axes(show):
    tokens = ["<s>", "$x$", "&lt;", "</s>", "<b>x</b>"]
    fig = attention_heatmap(np.full((1, 5, 5), 0.2), tokens, title="t", alt="a")
    page = show(SimpleNamespace(data=fig.to_html(include_plotlyjs=True, full_html=False)))
    for axis in ("x", "y"):
        names = page.locator(f".{axis}tick text")
        names.last.wait_for()
        assert names.all_text_contents() == tokens


def test_special_tokens_and_padding_are_hidden_on_demand_and_the_rest_stays(show):
    page = show(attention_view(FIRST))
    page.locator("[data-part=special]").uncheck()
    page.locator("[data-part=padding]").uncheck()
    numbers, names = table(page)
    kept = [1, 2, 3, 5]
    assert names == [TOKENS[i] for i in kept]
    np.testing.assert_allclose(numbers, FIRST.weights[0, 0].numpy()[np.ix_(kept, kept)], atol=SHOWN)


def test_padding_is_hatched_and_struck_through(show):
    page = show(attention_view(FIRST))
    hatch = page.locator("[data-drawing=matrix] path").first.get_attribute("d")
    assert hatch.count("M") == 2 * len(TOKENS) - 1
    assert page.locator("[data-drawing=arcs] .token line").count() == 2


def test_a_sentence_pair_is_cut_into_its_four_blocks(show):
    page = show(attention_view(FIRST))
    choose(page, part="01")
    numbers, names = table(page)
    rows, columns = [i for i in range(8) if TYPES[i] == 0], [5, 6]
    assert names == ["no", "[SEP]"]
    np.testing.assert_allclose(numbers, FIRST.weights[0, 0].numpy()[np.ix_(rows, columns)], atol=SHOWN)


def test_two_models_are_compared_by_signed_difference(show):
    page = show(attention_view(FIRST, SECOND, names=("before", "after"), layer=1))
    choose(page, model=1)
    np.testing.assert_allclose(table(page)[0], SECOND.weights[1, 0], atol=SHOWN)
    choose(page, model=2)
    difference = (SECOND.weights - FIRST.weights)[1, 0].numpy()
    np.testing.assert_allclose(table(page)[0], difference, atol=0.0005 + 2 * STORED)
    dashed = page.locator("[data-lines=lines] path[stroke-dasharray]").count()
    assert abs(dashed - (difference <= -0.02).sum()) <= (np.abs(difference + 0.02) < 2 * STORED).sum()
    assert "more in after" in page.locator("[data-part=legend]").text_content()


def test_a_cross_attention_has_its_own_rows(show):
    weights = torch.softmax(torch.randn(1, 2, 3, 2, generator=torch.Generator().manual_seed(0)), -1)
    page = show(
        attention_view(Attention(["le", "film"], [0, 0], weights, query_tokens=["the", "movie", "</s>"]))
    )
    numbers, names = table(page)
    assert names == ["le", "film"]
    assert page.locator("tbody th").all_text_contents() == ["the", "movie", "</s>"]
    np.testing.assert_allclose(numbers, weights[0, 0], atol=SHOWN)
    assert "rollout" not in page.locator("[data-part=show]").inner_text()


def test_everything_can_be_reached_by_keyboard(show):
    page = show(attention_view(FIRST))
    page.locator("[data-part=heads] button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-part=layer]").input_value() == "1"
    assert page.locator("[data-part=head]").input_value() == "1"
    assert page.locator("[data-part=heads] button:focus").get_attribute("aria-label") == "layer 1, head 1"
    page.locator(".token[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    weights = FIRST.weights[1, 1].numpy()
    status = page.locator("[data-part=status]").text_content()
    best = int(weights[3].argmax())
    assert status.startswith(f"film looks at: {TOKENS[best]} {weights[3, best]:.2f}")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    assert page.locator("[data-part=status]").text_content().startswith("film → [CLS]: ")
    page.keyboard.press("Escape")
    assert page.locator("[data-part=status]").text_content().startswith("[CLS] is looked at most by: ")


def test_the_query_key_panel_ends_in_the_weight(show):
    page = show(attention_view(FIRST, layer=1))
    cell = page.locator("[data-drawing=matrix] > rect[fill^=rgb]").nth(3 * len(TOKENS) + 5)  # film to no
    cell.hover()
    text = page.locator("[data-part=product]").text_content()
    q, k = FIRST.queries[1, 0, 3], FIRST.keys[1, 0, 5]
    product, score, weight = (
        float(number.replace("−", "-"))
        for number in re.search(r"q·k = (−?[\d.]+); divided by √4: (−?[\d.]+); .*: ([\d.]+)\.", text).groups()
    )
    assert product == pytest.approx((q @ k).item(), abs=1e-3)
    assert score == pytest.approx((q @ k).item() / 2, abs=1e-3)
    assert weight == pytest.approx(FIRST.weights[1, 0, 3, 5].item(), abs=1e-4)
    assert page.locator("[data-drawing=product] rect").count() == 3 * 4
    choose(page, show="mean")
    assert page.locator("[data-part=product]").is_hidden()


def test_the_drawing_is_saved_as_svg_and_as_png(show):
    page = show(attention_view(FIRST))
    with page.expect_download() as kept:
        page.get_by_text("Save as SVG").click()
    drawing = ElementTree.parse(kept.value.path()).getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert len([e for e in drawing.iter() if e.tag.endswith("rect")]) > len(TOKENS) ** 2
    with page.expect_download() as kept:
        page.get_by_text("Save as PNG").click()
    image = Image.open(BytesIO(kept.value.path().read_bytes()))
    assert image.size == tuple(2 * round(float(drawing.get(side))) for side in ("width", "height"))
    assert len(np.unique(image.convert("L"))) > 20


def test_hostile_tokens_are_text(show):
    hostile = ["</script><script>document.title='x'</script>", "<img src=x onerror=\"document.title='x'\">"]
    attention = Attention(hostile, [0, 0], torch.full((1, 1, 2, 2), 0.5))
    page = show(attention_view(attention, title="<script>document.title='x'</script>"))
    assert table(page)[1] == hostile
    assert page.title() == "views"


def test_views_on_one_page_do_not_disturb_each_other(show):
    page = show(attention_view(FIRST), attention_view(SECOND), attention_view([FIRST, SECOND]))
    choose(page, head=1)
    page.locator("[data-part=text]").nth(2).select_option("1")
    np.testing.assert_allclose(table(page, 0)[0], FIRST.weights[0, 1], atol=SHOWN)
    np.testing.assert_allclose(table(page, 1)[0], SECOND.weights[0, 0], atol=SHOWN)
    np.testing.assert_allclose(table(page, 2)[0], SECOND.weights[0, 0], atol=SHOWN)


def test_without_scripts_a_still_picture_stands_there(show):
    page = show(attention_view(FIRST, layer=1), scripts=False)
    picture = page.locator("svg[role=img]")
    assert picture.is_visible()
    assert "Weights of layer 1, head 0" in picture.get_attribute("aria-label")
    address = page.locator("svg image").get_attribute("href")
    shade = np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))), dtype=float)
    weights = FIRST.weights[1, 0].numpy()
    np.testing.assert_allclose(1 - shade / 255, weights / weights.max(), atol=0.003)


def test_the_view_follows_the_page_into_the_dark(show):
    page = show(attention_view(FIRST), body='style="background: white"')
    cell = page.locator("[data-drawing=matrix] > rect[fill^=rgb]").nth(len(TOKENS) - 1)  # weight 0
    assert cell.get_attribute("fill") == "rgb(255,255,255)"
    page.evaluate("document.body.style.background = '#111'")
    page.wait_for_function(
        "() => document.querySelector('.course-attention').style.getPropertyValue('--ink') === '#e8eaed'"
    )
    assert cell.get_attribute("fill") == "rgb(24,27,33)"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_accessible_and_never_wider_than_the_page(show, axe, width, theme):
    long = dataclasses.replace(
        made(2), tokens=[f"{token}-long-token" for token in TOKENS], word_ids=None, attention_mask=None
    )
    page = show(attention_view(FIRST, SECOND), attention_view(long), width=width, theme=theme)
    table(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(f"() => {{ {axe} }}")
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found if rule["impact"] != "minor"] == []


def test_a_view_that_fails_leaves_the_still_picture(browser):
    view = attention_view(FIRST).data.replace('"scales":', '"lost":')
    page = browser.new_page()
    page.set_content(view)
    assert page.locator("svg image").is_visible()
    page.close()
