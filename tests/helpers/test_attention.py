import dataclasses
import html
import json
import re

import pytest
import torch
from transformers import AutoModel

from helpers.attention import attention_weights
from helpers.bertviz_offline import head_view, model_view, neuron_view
from helpers.checkpoints import checkpoint_folder


def test_weights_equal_the_librarys_for_each_layer(eager_model, tokenizer):
    text = "A quiet, funny film."
    ours = attention_weights(eager_model, tokenizer, text)
    with torch.inference_mode():
        theirs = eager_model(**tokenizer(text, return_tensors="pt"), output_attentions=True).attentions
    assert ours.weights.shape[0] == len(theirs) == 6
    for layer, weights in enumerate(theirs):
        torch.testing.assert_close(ours.weights[layer], weights[0])


def test_rows_sum_to_one_and_tokens_name_the_axes(eager_model, tokenizer):
    attention = attention_weights(eager_model, tokenizer, "Good.", "Not good.")
    assert attention.tokens == ["[CLS]", "good", ".", "[SEP]", "not", "good", ".", "[SEP]"]
    assert attention.token_type_ids == [0, 0, 0, 0, 1, 1, 1, 1]
    torch.testing.assert_close(attention.weights.sum(-1), torch.ones(6, 12, 8))


def test_a_model_without_eager_attention_is_refused_with_the_remedy(tokenizer):
    model = AutoModel.from_pretrained(checkpoint_folder("minilm"))
    with pytest.raises(ValueError, match='Load it with attn_implementation="eager"'):
        attention_weights(model, tokenizer, "Good.")


@pytest.mark.parametrize("text", ["", "word " * 600, ["a", "list"], None])
def test_unusable_text_is_refused(eager_model, tokenizer, text):
    with pytest.raises((ValueError, TypeError)):
        attention_weights(eager_model, tokenizer, text)


def test_a_training_model_comes_back_in_training_mode(eager_model, tokenizer):
    eager_model.train()
    first = attention_weights(eager_model, tokenizer, "Good.").weights
    second = attention_weights(eager_model, tokenizer, "Good.").weights
    assert eager_model.training
    assert torch.equal(first, second)
    eager_model.eval()


@pytest.mark.parametrize("view", [head_view, model_view, neuron_view])
def test_bertviz_asks_nothing_of_the_network_and_keeps_hostile_tokens_as_text(eager_model, tokenizer, view):
    attention = attention_weights(eager_model, tokenizer, "Good.", queries_and_keys=True)
    hostile = dataclasses.replace(
        attention, tokens=["[CLS]", "</script><script>alert(1)</script>", "<!--<script>", "[SEP]"]
    )
    frame = view(hostile).data
    document = html.unescape(re.search(r'srcdoc="([^"]*)"', frame).group(1))
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", document)
    assert document.count("</script>") == 4
    assert "<!--<script>" not in document


def test_bertviz_refuses_a_text_whose_weights_alone_are_too_heavy(eager_model, tokenizer):
    attention = attention_weights(eager_model, tokenizer, "word " * 120)
    with pytest.raises(ValueError, match=r"at least 5\.4 MB into the page for 122 tokens"):
        model_view(attention)


def test_bertviz_refuses_a_page_that_turns_out_too_heavy(eager_model, tokenizer, monkeypatch):
    monkeypatch.setattr("helpers.bertviz_offline.MAX_BYTES", 300_000)
    with pytest.raises(ValueError, match=r"put 0\.\d MB into the page for 4 tokens"):
        head_view(attention_weights(eager_model, tokenizer, "Good."))


def test_the_neuron_view_holds_queries_keys_and_weights_to_three_decimals(eager_model, tokenizer):
    attention = attention_weights(eager_model, tokenizer, "Good.", queries_and_keys=True)
    document = html.unescape(
        re.search(r'srcdoc="([^"]*)"', neuron_view(attention, layer=2, head=5).data).group(1)
    )
    settings = json.loads(re.search(r"bertviz_params = (\{.*?\});\n", document).group(1))
    shown = settings["attention"]["all"]
    assert (settings["layer"], settings["head"]) == (2, 5)
    for name, expected in (
        ("attn", attention.weights),
        ("queries", attention.queries),
        ("keys", attention.keys),
    ):
        torch.testing.assert_close(torch.tensor(shown[name]), expected, atol=6e-4, rtol=0)


def test_the_neuron_view_asks_for_queries_and_keys(eager_model, tokenizer):
    with pytest.raises(ValueError, match=r"queries_and_keys=True"):
        neuron_view(attention_weights(eager_model, tokenizer, "Good."))
