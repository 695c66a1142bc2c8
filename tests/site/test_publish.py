"""What becomes of an executed notebook before Sphinx reads it."""

from __future__ import annotations

import copy
import html as html_module
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tqdm import tqdm

from book.contents import pages
from book.errors import PublishError
from book.figures import FIGURE
from book.outputs import WIDGET
from book.publish import publish, publishable
from helpers.attention import Attention
from helpers.viewer.attention_view import attention_view
from helpers.viewer.bertviz_offline import head_view

ALT = "Two bars; the second is twice as high as the first."


class Elements(HTMLParser):
    """The elements of a piece of HTML with their attributes and text, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append({"tag": tag, "text": "", **dict(attributes)})

    def handle_data(self, data: str) -> None:
        """Note the text after the last opened element."""
        if self.found:
            self.found[-1]["text"] += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        """The elements of this kind."""
        return [element for element in self.found if element["tag"] == tag]


def cell(*outputs: dict[str, Any], source: str = "run()", tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": 1,
        "id": "a",
        "metadata": {"tags": list(tags)},
        "outputs": list(outputs),
        "source": source,
    }


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    metadata = {"kernelspec": {"name": "python3"}, "widgets": {"state": "large"}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def shown(**data: Any) -> dict[str, Any]:
    bundle = {key.replace("__", "/").replace("_", "."): value for key, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def plot(layout: dict[str, Any] | None = None, data: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    figure = {
        "data": data if data is not None else [{"type": "bar", "y": [1, 2]}],
        "layout": {"meta": {"alt": ALT}, **(layout or {})},
    }
    return {"output_type": "display_data", "data": {FIGURE: figure, "text/html": "<script>"}, "metadata": {}}


def published(*outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return publishable(notebook(cell(*outputs, tags=tags)), "chapters/x")["cells"][0]["outputs"]


def figure_elements(output: dict[str, Any]) -> Elements:
    (only,) = published(output)
    assert list(only["data"]) == ["text/html"]
    return Elements(only["data"]["text/html"])


def embedded(elements: Elements) -> dict[str, Any]:
    (script,) = elements.all("script")
    assert script["type"] == "application/json"
    return json.loads(script["text"])


def test_a_figure_keeps_its_data_and_gets_a_labelled_place_of_its_height() -> None:
    elements = figure_elements(plot({"height": 320, "xaxis": {"title": {"text": "d"}}}))
    (place,) = [element for element in elements.found if element.get("class") == "course-plot"]
    assert (place["role"], place["aria-label"]) == ("img", ALT)
    assert "height:320px" in place["style"]
    assert embedded(elements)["data"] == [{"type": "bar", "y": [1, 2]}]
    assert embedded(elements)["layout"]["xaxis"] == {"title": {"text": "d"}}


def test_a_figure_without_height_takes_that_of_its_template() -> None:
    elements = figure_elements(plot({"template": {"layout": {"height": 380}}}))
    assert any("height:380px" in element.get("style", "") for element in elements.found)


def test_the_data_of_a_figure_are_embedded_once() -> None:
    (only,) = published(plot(data=[{"type": "bar", "y": [123456789, 1]}]))
    assert json.dumps(only).count("123456789") == 1


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!-- <script>", "a & b", "\u2028"])
def test_no_text_of_a_figure_ends_its_script(text: str) -> None:
    elements = figure_elements(plot(data=[{"type": "bar", "y": [1], "name": text}]))
    assert embedded(elements)["data"][0]["name"] == text


def test_the_title_becomes_text_with_its_inline_tags_and_nothing_else() -> None:
    (only,) = published(plot({"title": {"text": "x<sub>i</sub> <img src=x onerror=alert(1)>"}}))
    elements = Elements(only["data"]["text/html"])
    assert elements.all("sub")
    assert not elements.all("img")
    assert "title" not in embedded(elements)["layout"]


def test_alternative_text_cannot_leave_its_attribute() -> None:
    alt = 'A "quoted" <b>label</b>" onclick="alert(1)'
    elements = figure_elements(plot({"meta": {"alt": alt}}))
    (place,) = [element for element in elements.found if element.get("class") == "course-plot"]
    assert place["aria-label"] == alt
    assert "onclick" not in place


@pytest.mark.parametrize("layout", [{"meta": None}, {"meta": {}}, {"meta": {"alt": "  "}}, {"meta": "text"}])
def test_a_figure_without_alternative_text_is_refused_by_notebook_and_cell(layout: dict[str, Any]) -> None:
    with pytest.raises(PublishError, match=r"chapters/x, cell 2: a figure has no alternative text"):
        publishable(notebook(cell(), cell(plot(layout))), "chapters/x")


def test_a_trace_that_the_pages_cannot_draw_is_refused() -> None:
    with pytest.raises(PublishError, match="scatter3d"):
        published(plot(data=[{"type": "scatter3d", "x": [1]}]))


def test_a_menu_becomes_a_select_with_the_active_choice_chosen() -> None:
    buttons = [{"label": f"head <{i}>", "method": "restyle", "args": [{"visible": i}]} for i in range(3)]
    elements = figure_elements(plot({"updatemenus": [{"name": "Head", "active": 1, "buttons": buttons}]}))
    assert [option["text"] for option in elements.all("option")] == ["head <0>", "head <1>", "head <2>"]
    assert ["selected" in option for option in elements.all("option")] == [False, True, False]
    assert "Head" in elements.all("label")[0]["text"]


def test_a_slider_becomes_a_range_with_a_step_for_each_of_its_own() -> None:
    steps = [{"label": str(10 * i), "method": "skip", "args": []} for i in range(5)]
    slider = {"active": 2, "currentvalue": {"prefix": "epoch"}, "steps": steps}
    elements = figure_elements(plot({"updatemenus": [{"buttons": []}], "sliders": [slider]}))
    (control,) = elements.all("input")
    assert (control["min"], control["max"], control["value"], control["data-control"]) == ("0", "4", "2", "1")
    assert elements.all("output")[0]["text"] == "20"


def test_buttons_stay_buttons() -> None:
    menu = {"type": "buttons", "buttons": [{"label": "linear"}, {"label": "log"}]}
    elements = figure_elements(plot({"updatemenus": [menu]}))
    assert [button["text"] for button in elements.all("button")] == ["linear", "log"]


def test_a_widget_becomes_a_note_and_its_state_is_dropped() -> None:
    view = {WIDGET: {"model_id": "abc"}, "text/plain": "interactive(children=(IntSlider(value=0),))"}
    result = publishable(notebook(cell({"output_type": "display_data", "data": view, "metadata": {}})), "x")
    (only,) = result["cells"][0]["outputs"]
    assert "needs a running kernel" in only["data"]["text/html"]
    assert "widgets" not in result["metadata"]
    assert "model_id" not in json.dumps(result)


@pytest.mark.parametrize(
    "plain",
    ["  0%|          | 0/10 [00:00<?, ?it/s]", "HBox(children=(HTML(value=''), FloatProgress(value=0.0)))"],
)
def test_a_progress_bar_that_has_ended_is_not_shown(plain: str) -> None:
    view = {WIDGET: {"model_id": "abc"}, "text/plain": plain}
    assert published({"output_type": "display_data", "data": view, "metadata": {}}) == []


def stderr(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stderr", "text": text}


def test_chatter_on_stderr_is_refused_and_quoted() -> None:
    with pytest.raises(PublishError, match="cell 1: wrote to stderr: 'UserWarning: look'"):
        published(stderr("UserWarning: look\n  more\n"))


@pytest.mark.parametrize(
    "text",
    ["UserWarning: a | b | 3/4 [see docs]", "Warning: 3%| of 1/2 [00:01]", "x | y | 1/10 [00:01<00:09]"],
)
def test_a_warning_that_resembles_a_progress_bar_is_chatter(text: str) -> None:
    with pytest.raises(PublishError, match="wrote to stderr"):
        published(stderr(text))


def test_every_bar_of_tqdm_is_a_progress_bar() -> None:
    written = io.StringIO()
    for options in (
        {},
        {"desc": "Map | reviews"},
        {"desc": "a", "unit": "B", "unit_scale": True},
        {"ascii": True},
    ):
        with tqdm(total=40_000, file=written, mininterval=0, **options) as bar:
            bar.update(1)
            bar.set_postfix(loss=0.5)
            bar.update(39_999)
    assert written.getvalue().count("/") > 8
    assert published(stderr(written.getvalue())) == []


@pytest.mark.parametrize("tag", ["expected-stderr", "raises-exception"])
def test_stderr_that_the_reader_should_see_stays(tag: str) -> None:
    output = stderr("UserWarning: look\n")
    assert published(output, tags=(tag,)) == [output]


def test_a_progress_bar_on_stderr_is_not_chatter() -> None:
    assert (
        published(stderr("\r 10%|█         | 1/10 [00:01<00:09]\r100%|██████████| 10/10 [00:10<00:00]\n"))
        == []
    )


def test_a_traceback_keeps_the_frames_of_the_chapter_and_leaves_out_paths_of_the_machine() -> None:
    trace = [
        "-" * 75,
        "ValueError   Traceback (most recent call last)",
        "\x1b[36mCell\x1b[39m\x1b[32m In[3]\x1b[39m, line 1\n----> 1 model(text)",
        "File \x1b[32m/opt/me/lib/python3.11/site-packages/torch/nn.py:7\x1b[39m, in f()\n      7 raise",
        "File \x1b[32m/opt/me/lib/python3.11/site-packages/torch/nn.py:9\x1b[39m, in g()\n      9 raise",
        "ValueError: expected 2 sizes, got 3",
    ]
    error = {"output_type": "error", "ename": "ValueError", "evalue": "expected", "traceback": trace}
    (only,) = published(error, tags=("raises-exception",))
    text = "\n".join(only["traceback"])
    assert "model(text)" in text
    assert "expected 2 sizes, got 3" in text
    assert "2 frames inside libraries" in text
    assert "/opt/me" not in text


def test_a_frame_loads_late_and_must_have_a_title() -> None:
    titled = "<div><iframe title=\"Head view\" srcdoc='<p title=>&gt;</p>'></iframe></div>"
    (only,) = published(shown(text__html=titled))
    assert '<iframe loading="lazy" title="Head view"' in only["data"]["text/html"]
    with pytest.raises(PublishError, match="title"):
        published(shown(text__html="<iframe srcdoc='<p title=\"inside\">x</p>'></iframe>"))


def test_a_frame_in_capitals_is_a_frame_too() -> None:
    (only,) = published(shown(text__html="<IFRAME TITLE='Head view' SRCDOC='x'></IFRAME>"))
    assert Elements(only["data"]["text/html"]).all("iframe")[0]["loading"] == "lazy"
    with pytest.raises(PublishError, match="cell 1: an <iframe> has no title"):
        published(shown(text__html="<IFRAME src='page.html'></IFRAME>"))


@pytest.mark.parametrize("attributes", ["", "alt", 'alt=""', 'alt=" "', 'title="A cat"'])
def test_an_image_without_alternative_text_is_refused(attributes: str) -> None:
    with pytest.raises(PublishError, match="cell 1: an <img> has no alternative text"):
        published(shown(text__html=f'<p><IMG src="cat.png" {attributes}></p>'))


def test_a_picture_without_alternative_text_is_refused_and_one_with_it_is_not() -> None:
    picture = shown(image__png="aGVsbG8=", text__plain="<Figure>")
    with pytest.raises(PublishError, match=r"cell 1: an image has no alternative text.*mystnb\.image\.alt"):
        published(picture)
    described = cell(picture)
    described["metadata"]["mystnb"] = {"image": {"alt": "A cat on a mat."}}
    assert publishable(notebook(described), "x")["cells"][0]["outputs"] == [picture]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_figure_with_a_number_that_json_lacks_is_refused_by_its_cell(number: float) -> None:
    with pytest.raises(PublishError, match="chapters/x, cell 1: a figure holds NaN or infinity"):
        published(plot(data=[{"type": "bar", "y": [1, number]}]))


RUNS = [
    "<script>alert(1)</script>",
    "<SCRIPT src=//x></SCRIPT>",
    "<img alt=x src=x onerror=alert(1)>",
    "<img alt=x src=x ONERROR = alert(1)>",
    "<img/alt='x'/src='x'/onerror=alert(1)>",
    "<img alt=x src=x\nonerror\n=\nalert(1)>",
    '<p title="a"onclick="alert(1)">x</p>',
    "<p title='>' onmouseover=alert(1)>x</p>",
    "<p =onclick=alert(1)>x</p>",
    '<p "onclick=alert(1)>x</p>',
    "<svg onload=alert(1)></svg>",
    "<svg><style><img alt=x src=x onerror=alert(1)></style></svg>",
    "<math><mtext></mtext></math>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" java\tscript:alert(1)">x</a>',
    "<a href=&#106;avascript:alert(1)>x</a>",
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<iframe title="x" src="data:text/html;base64,AAAA"></iframe>',
    "<iframe title='x' srcdoc='<script>alert(1)</script>'></iframe>",
    "<iframe title='x' srcdoc='&lt;script&gt;alert(1)&lt;/script&gt;'></iframe>",
    "<object data=x></object>",
    "<embed src=x>",
    "<base href=//x>",
    "<link rel=stylesheet href=//x>",
    "<meta http-equiv=refresh content=0>",
    "<form action=//x><button>x</button></form>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img alt=x src=x onerror=alert(1)>'></noscript>",
    "<!--><img alt=x src=x onerror=alert(1)>-->",
    "<!-- x --!><img alt=x src=x onerror=alert(1)>",
    "<!doctype html>",
    "<![CDATA[x]]>",
    "<?xml version='1.0'?>",
    "<style>a</style x><img alt=x src=x onerror=alert(1)>",
    "<style>a{}",
    "<STYLE><b></STYLE>",
    "<img alt=x src=x onerror=alert(1)",
    "<p title='",
    "</script",
]


@pytest.mark.parametrize("text", RUNS)
@pytest.mark.parametrize("place", ["{}", "<table><tr><td>{}</td></tr></table>", "<div>\n{}"])
def test_html_that_could_run_something_is_refused_by_its_cell(text: str, place: str) -> None:
    with pytest.raises(PublishError, match="chapters/x, cell 1: "):
        published(shown(text__html=place.format(text), text__plain="x"))


@pytest.mark.parametrize("text", RUNS[:4])
def test_markdown_and_script_outputs_run_nothing_either(text: str) -> None:
    with pytest.raises(PublishError, match="cell 1"):
        published(shown(text__markdown=f"# Title\n\n{text}"))
    with pytest.raises(PublishError, match="cell 1: an output is a script"):
        published(shown(application__javascript="alert(1)"))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a <b", "x < y & z"]
)
def test_a_table_with_a_hostile_text_is_refused_when_its_style_does_not_escape(text: str) -> None:
    frame = pd.DataFrame({"text": [text], "rating": [0.5]})
    safe = [frame._repr_html_(), frame.style.format(escape="html").to_html()]
    for html in safe:
        (only,) = published(shown(text__html=html))
        assert Elements(only["data"]["text/html"]).all("td")[0]["text"].strip() == text
    with pytest.raises(PublishError, match="escape='html'"):
        published(shown(text__html=frame.style.to_html()))


def test_the_courses_own_views_keep_their_scripts() -> None:
    attention = attention_of_two_words()
    for view in (attention_view(attention), head_view(attention)):
        (only,) = published(shown(text__html=view.data))
        assert "<script>" in html_module.unescape(only["data"]["text/html"])


def attention_of_two_words() -> Attention:
    weights = torch.full((1, 2, 3, 3), 1 / 3)
    return Attention(["[CLS]", "film", "[SEP]"], [0, 0, 0], weights)


def test_the_set_up_cell_is_folded_and_keeps_its_output() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "profile cpu"}
    result = publishable(notebook(cell(output, tags=("setup",)), cell()), "x")
    assert "hide-input" in result["cells"][0]["metadata"]["tags"]
    assert result["cells"][0]["outputs"] == [output]
    assert "hide-input" not in result["cells"][1]["metadata"]["tags"]


def test_a_cell_that_was_not_executed_is_refused_but_an_empty_one_is_not() -> None:
    waiting = {**cell(), "execution_count": None}
    with pytest.raises(PublishError, match="cell 1: was not executed"):
        publishable(notebook(waiting), "x")
    publishable(notebook({**waiting, "source": "\n"}), "x")


def test_everything_else_passes_unchanged() -> None:
    outputs = [
        shown(text__html='<p>1 &lt; 2 <mark style="color:red">x</mark></p>', text__plain="1"),
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]},
        {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": "2"}},
        {
            "output_type": "display_data",
            "data": {"application/papermill.record/text/plain": "48"},
            "metadata": {"scrapbook": {"name": "n"}},
        },
    ]
    assert published(*copy.deepcopy(outputs)) == outputs


def test_the_given_notebook_is_left_as_it_was() -> None:
    given = notebook(cell(plot(), tags=("setup",)))
    before = copy.deepcopy(given)
    publishable(given, "x")
    assert given == before


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository with one page of each kind, executed."""
    for folder in ("chapters/images", "build/executed/chapters"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("title: A book\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/index\nchapters:\n- file: chapters/one\n"
    )
    (tmp_path / "chapters/index.md").write_text("# Index\n")
    (tmp_path / "chapters/images/a.svg").write_text("<svg/>")
    (tmp_path / "chapters/one.ipynb").write_text(json.dumps(notebook(cell())))
    (tmp_path / "build/executed/chapters/one.ipynb").write_text(json.dumps(notebook(cell())))
    return tmp_path


def run(root: Path) -> set[str]:
    target = root / "build/source"
    return {str(path.relative_to(target)) for path in publish(root, target, root / "build/executed")}


def test_only_what_changed_is_written_again(root: Path) -> None:
    assert run(root) == {"_toc.yml", "chapters/index.md", "chapters/images/a.svg", "chapters/one.ipynb"}
    assert run(root) == set()
    (root / "chapters/index.md").write_text("# New words\n")
    assert run(root) == {"chapters/index.md"}


def test_a_page_taken_out_of_the_contents_disappears(root: Path) -> None:
    run(root)
    (root / "_toc.yml").write_text("format: jb-book\nroot: chapters/index\n")
    run(root)
    assert not (root / "build/source/chapters/one.ipynb").exists()
    assert (root / "build/source/chapters/index.md").exists()


def test_a_chapter_that_was_not_executed_is_named_and_nothing_is_touched(root: Path) -> None:
    run(root)
    (root / "build/executed/chapters/one.ipynb").unlink()
    (root / "chapters/index.md").write_text("# New words\n")
    with pytest.raises(PublishError, match="chapters/one: has not been executed"):
        run(root)
    assert (root / "build/source/chapters/index.md").read_text() == "# Index\n"


def test_a_page_that_does_not_exist_is_named(root: Path) -> None:
    (root / "chapters/one.ipynb").unlink()
    with pytest.raises(PublishError, match="chapters/one"):
        run(root)


def test_pages_are_read_in_order_through_parts_and_sections(tmp_path: Path) -> None:
    toc = tmp_path / "_toc.yml"
    toc.write_text(
        "format: jb-book\nroot: a\nparts:\n- caption: P\n  chapters:\n  - file: b.ipynb\n    sections:\n    - file: c\n  - file: d.md\n"
    )
    assert pages(toc) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "content",
    ["", "- a", "chapters: []", "root: a\nchapters: [", "format: jb-book\nroot: a\nchaptres:\n- file: b"],
)
def test_a_table_of_contents_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "_toc.yml").write_text(content)
    with pytest.raises(PublishError, match=r"_toc\.yml is not a table of contents"):
        pages(tmp_path / "_toc.yml")


def test_pages_named_by_a_pattern_are_refused(tmp_path: Path) -> None:
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: a\nchapters:\n- glob: b*\n")
    with pytest.raises(PublishError, match=r"b\* is a pattern"):
        pages(tmp_path / "_toc.yml")
