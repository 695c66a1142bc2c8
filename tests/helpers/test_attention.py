import dataclasses
import html
import json
import re

import pytest
import torch
from transformers import AutoModel

from helpers.attention import Attention, attention_weights
from helpers.materials.checkpoints import checkpoint_folder
from helpers.viewer.bertviz_offline import head_view, model_view, neuron_view


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


def test_a_training_model_that_fails_is_in_training_mode_too(eager_model, tokenizer, monkeypatch):
    def out_of_memory(**inputs):
        assert not eager_model.training
        raise RuntimeError("out of memory")

    eager_model.train()
    monkeypatch.setattr(eager_model, "forward", out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory"):
        attention_weights(eager_model, tokenizer, "Good.")
    assert eager_model.training
    eager_model.eval()


def test_queries_and_keys_are_those_of_the_models_own_layers(eager_model, tokenizer):
    given = {}
    layer = eager_model.encoder.layer[3].attention.self
    hooks = [
        getattr(layer, name).register_forward_hook(
            lambda module, inputs, output, name=name: given.setdefault(name, output)
        )
        for name in ("query", "key")
    ]
    seen = attention_weights(eager_model, tokenizer, "A quiet, funny film.", queries_and_keys=True)
    for hook in hooks:
        hook.remove()
    for vectors, name in ((seen.queries, "query"), (seen.keys, "key")):
        joined = vectors[3].transpose(0, 1).flatten(start_dim=1)  # heads beside each other again
        torch.testing.assert_close(joined, given[name][0])


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
    monkeypatch.setattr("helpers.viewer.bertviz_offline.MAX_BYTES", 300_000)
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


@pytest.mark.parametrize("view", [head_view, model_view, neuron_view])
def test_bertviz_gets_few_decimals_of_weights_and_tokens_as_they_are(eager_model, tokenizer, view):
    attention = attention_weights(eager_model, tokenizer, "Good.", queries_and_keys=True)
    numbers = ["[CLS]", "3.14159265", "2.71828", "[SEP]"]
    document = html.unescape(view(dataclasses.replace(attention, tokens=numbers)).data)
    assert '"3.14159265"' in document
    assert '"2.71828"' in document
    weights = re.search(
        r'"attn": (\[{4}.*?\]{4})', document.replace(" ", "").replace('"attn":', '"attn": ')
    ).group(1)
    torch.testing.assert_close(torch.tensor(json.loads(weights)), attention.weights, atol=6e-4, rtol=0)
    assert not re.search(r"\.\d{4}", weights)


@pytest.mark.parametrize(("layer", "head"), [(6, 0), (0, 12), (-1, 0), (0, "1"), (None, 0)])
def test_the_neuron_view_opens_on_a_head_that_exists(eager_model, tokenizer, layer, head):
    attention = attention_weights(eager_model, tokenizer, "Good.", queries_and_keys=True)
    with pytest.raises(ValueError, match=f"Layer {layer!r}, head {head!r} is not among 6 layers of 12 heads"):
        neuron_view(attention, layer=layer, head=head)


@pytest.mark.parametrize("view", [head_view, model_view, neuron_view])
def test_bertviz_is_handed_no_cross_attention_and_nothing_that_is_no_attention(view):
    weights, vectors = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 4)
    cross = Attention(["a", "b"], [0, 0], weights, query_tokens=["x", "y"], queries=vectors, keys=vectors)
    with pytest.raises(ValueError, match="attention_view shows a cross-attention"):
        view(cross)
    with pytest.raises(ValueError, match=r"finite and not negative, but 4 of these are not, such as -0\.5"):
        view(dataclasses.replace(cross, query_tokens=None, weights=-weights))


def test_the_neuron_view_asks_for_queries_and_keys(eager_model, tokenizer):
    with pytest.raises(ValueError, match=r"queries_and_keys=True"):
        neuron_view(attention_weights(eager_model, tokenizer, "Good."))
