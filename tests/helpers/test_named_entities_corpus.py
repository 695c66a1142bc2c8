"""The hand-labelled names: marks that fit their texts, a card that tells the truth, nothing from the training text."""

import re
from collections import Counter

import pytest

from helpers.materials.corpora import data_card, read_corpus
from helpers.materials.reviews import near_duplicates, normalise, read_snippets

TYPES = {"PER", "ORG", "LOC", "NORP"}


@pytest.fixture(scope="module")
def corpus():
    return read_corpus("named_entities")


@pytest.fixture(scope="module")
def training_texts():
    return list(read_snippets("editorials")["text"])


def test_it_is_large_enough_and_has_names_of_every_type(corpus):
    assert len(corpus) >= 160
    counts = Counter(entity["type"] for row in corpus for entity in row["entities"])
    assert set(counts) == TYPES
    assert min(counts.values()) >= 40


def test_each_mark_is_a_piece_of_its_text(corpus):
    for row in corpus:
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"], row["id"]
            assert entity["text"] == entity["text"].strip() != ""


def test_marks_come_in_order_and_do_not_overlap(corpus):
    for row in corpus:
        for left, right in zip(row["entities"], row["entities"][1:], strict=False):
            assert left["end"] <= right["start"], row["id"]


def test_a_mark_never_begins_or_ends_inside_a_word(corpus):
    for row in corpus:
        text = row["text"]
        for entity in row["entities"]:
            around = text[max(0, entity["start"] - 1) : entity["start"]] + text[entity["end"] :][:1]
            assert not any(character.isalnum() for character in around), row["id"]


def test_marks_keep_the_rules_on_articles_and_possessives(corpus):
    names = [entity["text"] for row in corpus for entity in row["entities"]]
    assert [name for name in names if re.match(r"(?i)(the|mr|mrs|dr|sir|professor)\b", name)] == []
    assert [name for name in names if name.endswith(("'s", "'"))] == []


def test_ids_and_texts_are_unique(corpus):
    assert len({row["id"] for row in corpus}) == len(corpus)
    assert len({normalise(row["text"]) for row in corpus}) == len(corpus)


def test_sentences_without_a_name_are_there_as_well(corpus):
    by_kind = Counter(row["kind"] for row in corpus)
    assert by_kind["none"] >= 20
    assert all(row["entities"] == [] for row in corpus if row["kind"] in ("none", "other"))
    assert all(row["text"].islower() for row in corpus if row["kind"] == "lowercase")
    assert all(row["text"].isupper() for row in corpus if row["kind"] == "caps")


def test_the_card_gives_the_counts(corpus):
    card = data_card("named_entities")
    names = [entity["type"] for row in corpus for entity in row["entities"]]
    assert f"{len(corpus)} English sentences with {len(names)} names" in card
    for kind, count in Counter(names).items():
        assert re.search(rf"^\| {kind} \|.*\| {count} \|$", card, re.MULTILINE), kind
    for kind, count in Counter(row["kind"] for row in corpus).items():
        assert re.search(rf"^\| [^|]*\b{kind}\b[^|]* \| {count}\b", card, re.MULTILINE), kind


def test_no_sentence_is_in_the_training_text_nor_nearly(corpus, training_texts):
    trained = [normalise(text) for text in training_texts]
    ours = [normalise(row["text"]) for row in corpus]
    assert not set(ours) & set(trained)
    assert not near_duplicates([*trained, *ours])[len(trained) :].any()
