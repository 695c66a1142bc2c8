"""The passages of the chapter on summarisation keep what their data card promises."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data"
CARD = (DATA / "passages.md").read_text(encoding="utf-8")
PASSAGES = [json.loads(line) for line in (DATA / "passages.jsonl").read_text(encoding="utf-8").splitlines()]
KINDS = {"news": "news report", "how-to": "how-to", "science": "science note", "story": "story"} | {
    "minutes": "minutes of a meeting",
    "product": "product note",
}
each_passage = pytest.mark.parametrize("row", PASSAGES, ids=lambda row: row["id"])


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+(?=[\"“]?[A-Z])", text)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def numbers(text: str) -> set[str]:
    return {found.replace(",", "") for found in re.findall(r"\d[\d.,:]*\d|\d", text)}


def names(text: str) -> set[str]:
    """Capitalised words that don't begin a sentence."""
    inside = " ".join(sentence.partition(" ")[2] for sentence in sentences(text))
    return {found.lower() for found in re.findall(r"\b[A-Z]\w+", inside)}


def test_there_are_enough_passages_and_each_has_a_name_of_its_own():
    assert len(PASSAGES) >= 26
    for key in ("id", "title", "text", "summary"):
        assert len({row[key] for row in PASSAGES}) == len(PASSAGES)


def test_the_data_card_counts_what_is_there():
    assert f"| {len(PASSAGES)} short English passages" in CARD
    counts = Counter(row["kind"] for row in PASSAGES)
    assert set(counts) == set(KINDS)
    assert all(f"{KINDS[kind]} {count}" in CARD for kind, count in counts.items())
    true = sum(row["lead_is_point"] for row in PASSAGES)
    assert f"true for {true} passages, false\nfor {len(PASSAGES) - true}" in CARD
    lengths = {
        "words a passage": [len(row["text"].split()) for row in PASSAGES],
        "words a summary": [len(row["summary"].split()) for row in PASSAGES],
    }
    assert all(f"{min(values)} to {max(values)} {unit}" in CARD for unit, values in lengths.items())


@each_passage
def test_fields_have_the_promised_types(row):
    fields = {"id": str, "title": str, "kind": str, "lead_is_point": bool, "text": str, "summary": str}
    assert {key: type(value) for key, value in row.items()} == fields
    assert all(value == " ".join(value.split()) for value in row.values() if isinstance(value, str))


@each_passage
def test_text_and_summary_have_the_promised_lengths(row):
    assert 120 <= len(row["text"].split()) <= 220
    assert 6 <= len(sentences(row["text"])) <= 10
    assert 1 <= len(sentences(row["summary"])) <= 2
    assert len(row["summary"].split()) <= 40


@each_passage
def test_every_number_and_name_of_a_summary_stands_in_its_text(row):
    assert numbers(row["summary"]) <= numbers(row["text"])
    known = set(words(row["text"]))
    assert {name for name in names(row["summary"]) if name not in known} == set()


@each_passage
def test_a_summary_is_not_copied_from_its_text(row):
    def runs(text: str, length: int = 8) -> set[tuple[str, ...]]:
        found = words(text)
        return {tuple(found[start : start + length]) for start in range(len(found) - length + 1)}

    assert not runs(row["summary"]) & runs(row["text"])


def test_some_texts_begin_with_their_point_and_some_do_not():
    assert min(Counter(row["lead_is_point"] for row in PASSAGES).values()) >= 10
