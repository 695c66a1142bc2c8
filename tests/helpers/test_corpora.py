from pathlib import Path

import pytest

from helpers.materials.corpora import data_card, read_corpus

DATA = Path(__file__).parents[2] / "data"


def test_a_card_is_read_as_it_is_written():
    assert data_card("reviews") == (DATA / "reviews.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("function", [read_corpus, data_card])
def test_an_unknown_name_is_told_with_those_that_there_are(function):
    with pytest.raises(ValueError, match="no_such_thing") as caught:
        function("no_such_thing")
    assert "Known: " in str(caught.value)


def test_every_corpus_has_its_card_and_stands_in_the_list():
    listed = (DATA / "README.md").read_text(encoding="utf-8")
    for corpus in DATA.glob("*.jsonl"):
        assert corpus.with_suffix(".md").exists(), f"{corpus.name} has no data card"
        assert f"]({corpus.stem}.md)" in listed, f"{corpus.name} is not listed in data/README.md"
        assert read_corpus(corpus.stem)
