import base64
import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from helpers.attention import Attention, attention_weights, attentions_of_batch
from helpers.attention_view import attention_view


def random_attention(n=5, layers=2, heads=3, seed=0, **fields):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.softmax(3 * torch.randn(layers, heads, n, n, generator=generator), dim=-1)
    return Attention([f"t{i}" for i in range(n)], [0] * n, weights, **fields)


def payload(view):
    """What the page hands to the browser code, read back as JSON."""
    return json.loads(re.search(r'\("attention-\w+"\), (\{.*\})\);\n\}\)\(\);</script>', view.data).group(1))


def test_a_whole_bert_of_64_tokens_stays_below_nine_tenths_of_a_megabyte():
    view = attention_view(random_attention(n=64, layers=12, heads=12))
    assert len(view.data.encode()) < 900_000


def test_every_weight_is_stored_within_half_a_step():
    attention = random_attention(n=9)
    text = payload(attention_view(attention))["texts"][0]
    stored = np.frombuffer(base64.b64decode(text["weights"][0]), np.uint8).reshape(2, 3, 9, 9)
    scales = np.array(text["scales"][0]).reshape(2, 3, 1, 1)
    error = np.abs(stored * scales / 255 - attention.weights.numpy())
    assert error.max() <= 1 / 510 + 1e-6
    assert (error <= scales / 510 + 1e-6).all()


def test_the_pages_markup_holds_no_token_as_markup_and_asks_nothing_of_the_network():
    hostile = dataclasses.replace(
        random_attention(n=2), tokens=["</script><script>alert(1)</script>", "<img src=x>"]
    )
    page = attention_view(hostile, title="<b>bold</b>").data
    assert page.count("<script>") == page.count("</script>") == 1
    assert "<img" not in page
    assert "<b>bold" not in page
    assert payload(attention_view(hostile))["texts"][0]["keys"][1]["label"] == "<img src=x>"
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.replace("http://www.w3.org", ""))


def test_a_padded_batch_comes_with_its_mask(eager_model, tokenizer):
    encoding = tokenizer(["Good.", "A quiet, funny film."], padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = eager_model(**encoding, output_attentions=True)
    texts = payload(attention_view(attentions_of_batch(output.attentions, encoding)))["texts"]
    assert [[token["kind"] for token in text["keys"]] for text in texts] == [
        [1, 0, 0, 1, 2, 2, 2, 2],
        [1, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_empty_attentions_are_refused_with_the_remedy(tokenizer):
    encoding = tokenizer(["Good."], return_tensors="pt")
    for nothing in ((), None, (None, None)):
        with pytest.raises(ValueError, match='attn_implementation="eager"'):
            attentions_of_batch(nothing, encoding)
    with pytest.raises(ValueError, match='attn_implementation="eager"'):
        attention_view(Attention(["a"], [0], torch.empty(0, 12, 1, 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_view([]), "no text to show"),
        (lambda: attention_view(random_attention(n=97)), "97 tokens are too many to read .at most 96"),
        (lambda: attention_view([random_attention(n=90, layers=12, heads=12)] * 3), "MB into the page"),
        (lambda: attention_view(random_attention(), layer=2), "Layer 2, head 0 is not among 2 layers of 3"),
        (lambda: attention_view(random_attention(), head=-1), "Layer 0, head -1 is not among"),
        (lambda: attention_view(random_attention(), show="sum"), "show='sum' is not one of"),
        (lambda: attention_view(random_attention(), random_attention(heads=4)), "The shapes disagree"),
        (
            lambda: attention_view(random_attention(), [random_attention()] * 2),
            "1 texts cannot be compared with 2",
        ),
        (
            lambda: attention_view(
                random_attention(), dataclasses.replace(random_attention(), tokens=list("abcde"))
            ),
            "compared on the same tokens",
        ),
        (lambda: Attention(["a", "b"], [0, 0], torch.ones(1, 1, 2, 3)), "2 queries and 2 keys need weights"),
        (
            lambda: Attention(["a"], [0, 0], torch.ones(1, 1, 1, 1)),
            "token_type_ids has 2 entries for 1 tokens",
        ),
        (
            lambda: attention_view(
                Attention(["a"], [0], torch.ones(1, 1, 2, 1), query_tokens=["x", "y"]), show="rollout"
            ),
            "Rollout multiplies square matrices",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_value_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_encoding_of_other_texts_is_refused(eager_model, tokenizer):
    encoding = tokenizer(["Good.", "Bad."], return_tensors="pt")
    with torch.inference_mode():
        output = eager_model(**encoding, output_attentions=True)
    with pytest.raises(ValueError, match="attentions are of 2 texts, the encoding is of 1"):
        attentions_of_batch(output.attentions, tokenizer(["Good."]))


def test_captured_queries_and_keys_give_the_librarys_weights(eager_model, tokenizer):
    seen = attention_weights(eager_model, tokenizer, "Not bad.", "Not good.", queries_and_keys=True)
    scores = seen.queries @ seen.keys.transpose(-2, -1) / seen.queries.shape[-1] ** 0.5
    torch.testing.assert_close(scores.softmax(-1), seen.weights, rtol=0, atol=1e-6)


def test_the_hooks_are_gone_afterwards(eager_model, tokenizer):
    attention_weights(eager_model, tokenizer, "Good.", queries_and_keys=True)
    for layer in eager_model.encoder.layer:
        assert not layer.attention.self.query._forward_hooks
        assert not layer.attention.self.key._forward_hooks
