"""The corpus of passages and questions: what the chapter on question answering relies on."""

import re

import pytest

from helpers.materials.corpora import read_corpus
from helpers.materials.reviews import read_snippets

PASSAGES = read_corpus("questions")
QUESTIONS = [(row, question) for row in PASSAGES for question in row["questions"]]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def shingles(text: str, size: int = 8) -> set[tuple[str, ...]]:
    listed = words(text)
    return {tuple(listed[start : start + size]) for start in range(len(listed) - size + 1)}


def test_every_row_has_the_fields_of_the_data_card():
    for row in PASSAGES:
        assert set(row) == {"id", "title", "split", "passage", "questions"}
        assert row["split"] in ("validation", "test")
    for _, question in QUESTIONS:
        assert set(question) == {"id", "question", "answers"}
        assert question["question"].endswith("?")


def test_ids_titles_and_questions_of_a_passage_are_unique():
    assert len({row["id"] for row in PASSAGES}) == len({row["title"] for row in PASSAGES}) == len(PASSAGES)
    assert len({question["id"] for _, question in QUESTIONS}) == len(QUESTIONS)
    assert len({(row["id"], question["question"]) for row, question in QUESTIONS}) == len(QUESTIONS)


def test_every_answer_is_whole_words_of_its_passage():
    for row, question in QUESTIONS:
        assert len(question["answers"]) <= 3
        assert len(set(question["answers"])) == len(question["answers"])
        for answer in question["answers"]:
            assert re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", row["passage"]), question["id"]


@pytest.mark.parametrize(
    ("split", "passages", "answerable", "unanswerable"), [("validation", 10, 55, 20), ("test", 24, 153, 35)]
)
def test_the_counts_of_the_data_card_are_right(split, passages, answerable, unanswerable):
    rows = [row for row in PASSAGES if row["split"] == split]
    has_answer = [bool(question["answers"]) for row in rows for question in row["questions"]]
    assert (len(rows), sum(has_answer), len(has_answer) - sum(has_answer)) == (
        passages,
        answerable,
        unanswerable,
    )


def test_three_passages_are_long_and_the_others_short():
    lengths = {row["id"]: len(row["passage"].split()) for row in PASSAGES}
    long = {name for name, length in lengths.items() if length > 170}
    assert long == {"expedition", "canal", "hospital"}
    assert all(450 <= lengths[name] <= 700 for name in long)
    assert all(length >= 80 for length in lengths.values())


def test_no_passage_repeats_another_or_the_text_that_the_chapter_trains_on():
    training = "\n".join(read_snippets("editorials")["text"])
    seen = shingles(training)
    assert len(seen) > 50_000
    for row in PASSAGES:
        mine = shingles(row["passage"])
        assert not mine & seen, row["id"]
        seen |= mine


def test_questions_are_not_copied_from_their_passage():
    for row, question in QUESTIONS:
        assert not shingles(question["question"], 7) & shingles(row["passage"], 7), question["id"]
