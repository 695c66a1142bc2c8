import collections
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.materials import reviews as module
from helpers.materials.reviews import (
    ReviewsError,
    clean_snippets,
    fetch_reviews,
    load_reviews,
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


def test_a_table_that_its_caller_changes_changes_nothing_elsewhere(reviews):
    mine, _ = clean_snippets()
    mine.pop("rating")
    mine.loc[mine.index[::2], "text"] = "mine"
    again, counts = clean_snippets()
    assert list(again) == ["id", "rating", "text"]
    assert len(again) == counts.kept
    assert load_reviews()["train"]["text"] == reviews["train"]["text"]


def test_no_text_stands_in_two_splits(reviews):
    words = {name: {normalise(text) for text in part["text"]} for name, part in reviews.items()}
    assert sum(map(len, words.values())) == sum(len(part) for part in reviews.values())
    assert [pair for pair in itertools.combinations(words, 2) if words[pair[0]] & words[pair[1]]] == []


def test_no_near_duplicate_crosses_splits_counted_by_hand(reviews):
    def trigrams(text):
        words = re.findall(r"\w+", text.lower())
        return frozenset(tuple(words[i : i + 3]) for i in range(len(words) - 2))

    where = collections.defaultdict(set)
    compared = 0
    for split, part in reviews.items():
        for mine in [trigrams(text) for text in part["text"]]:
            others = {other for trigram in mine for other in where[trigram] if other[0] != split}
            compared += len(others)
            for _, theirs in others:
                assert len(mine & theirs) / len(mine | theirs) < 0.5, mine
            for trigram in mine:
                where[trigram].add((split, mine))
    assert compared > 10_000


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


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_archive_is_refused_and_kept_and_the_next_call_repairs(monkeypatch, tmp_path, damage):
    good = fetch_reviews()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    archive = tmp_path / "reviews" / module.ARCHIVE
    archive.parent.mkdir()
    content = good.read_bytes()
    bad = {"truncated": content[:-10], "altered": b"x" + content[1:], "empty": b""}[damage]
    archive.write_bytes(bad)
    with pytest.raises(ReviewsError, match="truncated or altered") as caught:
        fetch_reviews()
    assert not archive.exists()
    [aside] = tmp_path.glob("*.rejected")
    assert f"moved to {aside};" in str(caught.value)
    monkeypatch.setattr(module, "_download", lambda folder: shutil.copy(good, folder))
    assert fetch_reviews().read_bytes() == content
    assert aside.read_bytes() == bad


@pytest.mark.parametrize("leftover", ["a dangling link", "a folder", "an empty folder"])
def test_what_is_no_archive_is_fetched(monkeypatch, tmp_path, leftover):
    good = fetch_reviews()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    archive = tmp_path / "reviews" / module.ARCHIVE
    archive.parent.mkdir()
    if leftover == "a dangling link":
        archive.symlink_to(tmp_path / "nowhere")
    elif leftover == "a folder":
        archive.mkdir()
    monkeypatch.setattr(module, "_download", lambda folder: shutil.copy(good, folder))
    assert fetch_reviews().read_bytes() == good.read_bytes()


def test_processes_that_start_together_download_once(tmp_path):
    code = (
        "import os, shutil, sys; from helpers.materials import reviews\n"
        "def download(folder):\n"
        "    with open(sys.argv[2], 'a') as log: log.write('downloaded\\n')\n"
        "    shutil.copy(sys.argv[1], folder)\n"
        "reviews._download = download\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(reviews.fetch_reviews().stat().st_size)\n"
    )
    good, log = fetch_reviews(), tmp_path / "log"
    command = [sys.executable, "-c", code, str(good), str(log)]
    environment = {**os.environ, "COURSE_CACHE": str(tmp_path / "cache")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racing = [subprocess.Popen(command, env=environment, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in racing] == ["ready\n"] * 3
    sizes = []
    for process in racing:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in racing:
        sizes.append(int(process.communicate(timeout=120)[0]))
    assert sizes == [good.stat().st_size] * 3
    assert log.read_text() == "downloaded\n"


def test_a_download_that_fails_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ReviewsError, match="Check the connection"):
        fetch_reviews()
    assert [path.name for path in tmp_path.iterdir()] == [".reviews.lock"]
