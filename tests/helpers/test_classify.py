import numpy as np
import pandas as pd
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from helpers.profile import current_profile
from helpers.training.classify import OVERLAP, classify
from helpers.training.predict import predict_logits
from helpers.training.sentiment import sentiment_classifier


@pytest.fixture(scope="module")
def model():
    return sentiment_classifier(current_profile()).eval()


def test_short_texts_get_the_probabilities_of_their_own_logits(model, tokenizer):
    texts = ["Fine.", "A long and tender film about nothing at all.", "No."]
    table = classify(model, tokenizer, texts)
    expected = torch.softmax(torch.tensor(predict_logits(model, tokenizer, texts)), dim=-1).numpy()
    np.testing.assert_allclose(table[["negative", "positive"]], expected, atol=1e-6)
    assert table["text"].tolist() == texts
    assert table["windows"].tolist() == [1, 1, 1]
    assert table["label"].tolist() == [["negative", "positive"][row.argmax()] for row in expected]


def test_one_text_may_come_alone(model, tokenizer):
    assert classify(model, tokenizer, "Fine.").equals(classify(model, tokenizer, ["Fine."]))


def test_a_long_text_is_the_mean_of_its_windows_and_none_of_its_words_is_lost(model, tokenizer):
    words = 1200
    text = " ".join(["good"] * (words - 1) + ["bad"])
    table = classify(model, tokenizer, [text, "Fine."])
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    assert len(ids) == words
    step = 510 - OVERLAP
    starts = range(0, words - OVERLAP, step)
    assert table["windows"].tolist() == [len(starts), 1]
    with torch.inference_mode():
        logits = [model(torch.tensor([[101, *ids[start : start + 510], 102]])).logits[0] for start in starts]
    expected = torch.softmax(torch.stack(logits).mean(0), dim=-1)
    np.testing.assert_allclose(table.loc[0, ["negative", "positive"]].astype(float), expected, atol=1e-5)


def small_model(**changes):
    settings = {"vocab_size": 30522, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**settings | {"intermediate_size": 32} | changes)).eval()


def test_a_model_of_few_positions_reads_all_of_them_and_none_beyond(tokenizer):
    model = small_model(max_position_embeddings=66)  # no multiple of 8, to which batches are padded
    text = "good " * 64  # with two special tokens, 66
    with torch.inference_mode():
        own = model(**tokenizer(text, return_tensors="pt")).logits
    np.testing.assert_allclose(predict_logits(model, tokenizer, [text, "bad"])[:1], own, atol=1e-5)
    table = classify(model, tokenizer, [text, "good " * 65, "bad"])
    np.testing.assert_allclose(
        table.loc[0, ["LABEL_0", "LABEL_1"]].astype(float), own[0].softmax(-1), atol=1e-5
    )
    assert table["windows"].tolist() == [1, 2, 1]


def test_a_model_with_room_for_no_word_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"3 tokens, but the model takes at most 2.*windows of 0 tokens"):
        classify(small_model(max_position_embeddings=2), tokenizer, "good")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_labels": 1}, r"1 output\(s\).*predict_logits"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "multi_label.*sigmoid"),
        ({"num_labels": 2, "problem_type": "regression"}, "problem_type='regression'"),
        ({"id2label": {0: "text", 1: "label"}}, r"Give \['text', 'label'\] other names"),
        ({"id2label": {0: "good", 1: "good"}}, r"Give \['good', 'good'\] other names"),
    ],
)
def test_a_head_that_is_not_one_softmax_over_named_classes_is_refused(tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        classify(small_model(**changes), tokenizer, "good")


def test_the_logits_of_any_head_are_its_own(tokenizer):
    texts = ["good", "a bad film"]
    for changes in ({"num_labels": 1}, {"num_labels": 3, "problem_type": "multi_label_classification"}):
        model = small_model(**changes)
        with torch.inference_mode():
            own = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
        np.testing.assert_allclose(predict_logits(model, tokenizer, texts), own, atol=1e-5)


@pytest.mark.parametrize("kind", [BertModel, BertForTokenClassification, BertForMaskedLM])
def test_a_model_that_classifies_no_texts_is_refused(tokenizer, kind):
    model = kind(small_model().config).eval()
    with pytest.raises(
        TypeError, match=f"A {kind.__name__} gives no 2 logits.*AutoModelForSequenceClassification"
    ):
        predict_logits(model, tokenizer, ["good", "bad"])


def test_a_tokenizer_that_pads_otherwise_than_its_model_is_refused(tokenizer):
    for pad in (None, 5):
        with pytest.raises(ValueError, match=rf"'\[PAD\]', id 0, the model expects id {pad}"):
            classify(small_model(pad_token_id=pad), tokenizer, "good")


@pytest.mark.parametrize("function", [classify, predict_logits])
@pytest.mark.parametrize(
    "texts", [{"text": "good"}, {"good", "bad"}, pd.DataFrame({"text": ["good"]}), b"good", None, 3]
)
def test_what_is_no_list_of_texts_is_named(tokenizer, function, texts):
    with pytest.raises(TypeError, match=f"must come in a list, but this is a {type(texts).__name__}"):
        function(small_model(), tokenizer, texts)


def test_a_column_a_tuple_and_an_array_are_lists_of_texts(tokenizer):
    texts = ["good", "bad"]
    expected = predict_logits(small_model(), tokenizer, texts)
    for column in (pd.Series(texts, index=[7, 3]), tuple(texts), np.array(texts)):
        np.testing.assert_array_equal(predict_logits(small_model(), tokenizer, column), expected)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("good film", TypeError, "'good film' is one str"),
        ([], ValueError, "0 texts"),
        (["good", " "], ValueError, "Text 1 of 2: The text is empty"),
        (
            ["good", "long " * 600],
            ValueError,
            "Text 1 of 2 has 602 tokens, but the model takes at most 512.*classify",
        ),
    ],
)
def test_predict_logits_names_what_it_cannot_read(tokenizer, texts, error, message):
    with pytest.raises(error, match=message):
        predict_logits(small_model(), tokenizer, texts)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "0 texts"),
        (["good", " "], ValueError, "Text 1 of 2: The text is empty"),
        (["good", None], TypeError, "Text 1 of 2: A text must be a str, but None is a NoneType"),
        ([["good"]], TypeError, "Text 0 of 1: One text is due here"),
    ],
)
def test_what_is_no_text_is_named_by_its_place(model, tokenizer, texts, error, message):
    with pytest.raises(error, match=message):
        classify(model, tokenizer, texts)
