import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tokens import check_text, coloured_tokens, encode, token_table


def test_offsets_cover_the_characters_of_each_token(tokenizer):
    table = token_table(tokenizer, "Unbelievably naïve!")
    pieces = [row.characters for row in table.itertuples() if row.characters]
    assert "".join(pieces) == "Unbelievablynaïve!"


def test_the_table_equals_the_tokenizer(tokenizer):
    table = token_table(tokenizer, "first", "second text")
    encoding = tokenizer("first", "second text")
    assert table["input_id"].tolist() == encoding["input_ids"]
    assert table["token_type_id"].tolist() == encoding["token_type_ids"]
    assert table["characters"].tolist() == ["", "first", "", "second", "text", ""]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "empty"),
        (" \n", ValueError, "empty"),
        (None, TypeError, "NoneType"),
        (3, TypeError, "3 is a int"),
        (["a", "b"], TypeError, "a list of 2"),
        ("good \ud83d film", ValueError, "half a character.*'good  film'"),
    ],
)
def test_what_is_not_one_text_is_refused_with_its_value(text, error, message):
    with pytest.raises(error, match=message):
        check_text(text)


def test_more_tokens_than_the_model_takes_are_refused_not_cut(tokenizer):
    with pytest.raises(ValueError, match=r"602 tokens.*at most 512"):
        encode(tokenizer, "word " * 600)
    assert len(encode(tokenizer, "word " * 510)["input_ids"]) == 512
    with pytest.raises(ValueError, match=r"12 tokens.*at most 8"):
        encode(tokenizer, "word " * 10, max_length=8)


def test_a_table_takes_a_text_of_any_length(tokenizer):
    assert len(token_table(tokenizer, "word " * 600)) == 602


@given(st.text(min_size=1, max_size=40))
def test_any_token_is_shown_as_text_never_as_markup(token):
    html = coloured_tokens([token, "</code><script>x</script>"], [0, None], label='"><b>').data
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("<code") == html.count("</code>") == 2


def test_groups_must_match_the_tokens():
    with pytest.raises(ValueError, match="2 tokens, but 1 groups"):
        coloured_tokens(["a", "b"], [1], label="tokens")
    with pytest.raises(TypeError, match="A token must be a str, but 7 is a int"):
        coloured_tokens(["a", 7], [1, 2], label="tokens")
