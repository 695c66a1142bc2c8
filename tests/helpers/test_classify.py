import numpy as np
import pytest
import torch

from helpers.classify import OVERLAP, classify
from helpers.profile import current_profile
from helpers.training import predict_logits, sentiment_classifier


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
