"""Results in the text come from executed cells: no figure of a result is typed into prose."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))

UNIT = r"(?:%|×|(?:times|percent|points?|seconds?|minutes?|hours?|ms|[kMG]B|examples|GFLOP/s|tokens/s)\b)"
RESULT = re.compile(rf"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)(?:\s*({UNIT}))?")
CONVENTIONS = {"95 %", "100 %", "0 %"}
"""The level of every interval in the book, all, and nothing."""
NOT_RESULTS = {
    ("02_tokenization", "sweep-text", "3.2"): "a version of Unicode",
    ("04_attention", "saturation", "0.016"): "one in sixty-four, by division",
    ("08_fine_tuning", "soft-head", "3.5"): "a rating, for example",
    ("08_fine_tuning", "soft-head", "0.1"): "a rating, for example",
    ("08_fine_tuning", "calibration-head", "0.9"): "a probability, for example",
    ("06_architectures", "mistake-scale", "0.02"): "a default of the library",
    ("09_best_practices", "scores-head", "95 times"): "what an interval of 95 % means",
    ("11_efficiency", "memory-why", "3 %"): "a promise, for example",
    ("11_efficiency", "ceiling-head", "1 %"): "asserted in the cell",
    ("11_efficiency", "attention-read", "0.1"): "a default of the library",
    ("11_efficiency", "checkpoint-cure", "5.23"): "a version",
    ("11_efficiency", "bench-head", "0.85"): "the goal that the benchmark sets",
    ("troubleshooting", "memory-cures", "5.23"): "a version",
    ("troubleshooting", "index", "0.69"): "the logarithm of two, a symptom to search for",
    ("troubleshooting", "loss-log2", "0.69"): "the logarithm of two, a symptom to search for",
}


def prose(source: str) -> str:
    """A Markdown cell without code, formulas, links' targets, directives' fences, and roles but citations."""
    text = re.sub(r"^```.*?^```", "", source, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL)
    text = re.sub(r"\{(?!cite)[\w:]+\}`[^`]*`", "", text)
    text = re.sub(r"(?<!\})`[^`]*`", "", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def typed_figures(source: str, settings: set[float]) -> list[str]:
    """What reads like a result: a decimal, or a number with a unit, in a paragraph without a citation.

    A number that stands in the notebook's code as well is a setting, not a result.
    """
    found = []
    for paragraph in re.split(r"\n\s*\n|\n(?=[|*-])", prose(source)):
        if "{cite" in paragraph:
            continue
        for match in RESULT.finditer(paragraph):
            number, unit = match.groups()
            value = float(number.rstrip(",").replace(",", ""))
            share = value / 100 if unit in {"%", "percent"} else value
            said = f"{number} {unit}" if unit else number
            is_result = unit or "." in number
            if is_result and said not in CONVENTIONS and not {value, share} & settings:
                found.append(said)
    return found


def numbers(code: str) -> set[float]:
    """Every number that stands in the code."""
    python = "\n".join(line for line in code.splitlines() if not line.startswith(("%", "!")))
    return {
        float(node.value)
        for node in ast.walk(ast.parse(python))
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_figure_of_a_result_is_typed_into_prose(path):
    cells = nbformat.read(path, as_version=4).cells
    settings = set().union(
        *(numbers(cell.source) for cell in cells if cell.cell_type == "code" and cell.id != "setup")
    )
    found = [
        (path.stem, cell.id, said)
        for cell in cells
        if cell.cell_type == "markdown" and not re.search(r"exercise|predict", cell.id)
        for said in typed_figures(cell.source, settings)
    ]
    assert [entry for entry in found if entry not in NOT_RESULTS] == []


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("It is right on 86.1 % of the reviews.", ["86.1 %"]),
        ("It is 3.8 × as fast, in 12 seconds.", ["3.8 ×", "12 seconds"]),
        ("An accuracy of 0.861.", ["0.861"]),
        ("An accuracy of {glue:text}`accuracy`, with `0.861` in code and $0.861$ in a formula.", []),
        ("They report 86.1 % {cite}`kim2014`.", []),
        ("A 95 % interval. Dropout is 0.25. Chapter 8, in 2017, has 12 heads.", []),
        ("[86.1 %](x.html#at-0.5)", ["86.1 %"]),
    ],
)
def test_what_counts_as_a_typed_figure(text, figures):
    assert typed_figures(text, {0.25}) == figures
