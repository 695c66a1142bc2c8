"""`fine_tune` on small random models of many architectures: what moves, and what is refused by name."""

import dataclasses

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification

from helpers.training.dropout import byte_dropout
from helpers.training.loop import fine_tune, ready_to_train
from helpers.training.parts import parameter_groups
from helpers.training.recipe import Recipe
from helpers.training.targets import one_hot_targets

RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=1e-2, head_learning_rate=1e-2, autocast=False)
TEXTS = [f"{'good' if i % 2 else 'bad'} {'film ' * (i % 5 + 1)}{i}" for i in range(12)]
TARGETS = one_hot_targets([i % 2 for i in range(12)])

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
DISTANCES = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
ENDS = {"bos_token_id": 101, "eos_token_id": 102}
MODERN = SIZES | ENDS | {"cls_token_id": 101, "sep_token_id": 102}
MODELS = {
    "bert": (SIZES, "bert.embeddings."),
    "distilbert": ({"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}, "distilbert.embeddings."),
    "roberta": (SIZES, "roberta.embeddings."),
    "xlm-roberta": (SIZES, "roberta.embeddings."),
    "camembert": (SIZES, "roberta.embeddings."),
    "electra": (SIZES | {"embedding_size": 8}, "electra.embeddings."),
    "albert": (SIZES | {"embedding_size": 8}, "albert.embeddings."),
    "mpnet": (SIZES, "mpnet.embeddings."),
    "deberta-v2": (SIZES | DISTANCES, "deberta.embeddings."),
    "modernbert": (MODERN, "model.embeddings."),
    "squeezebert": (
        SIZES | {"embedding_size": 16} | {f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention")},
        "transformer.embeddings.",
    ),
    "gpt2": (ENDS | {"n_embd": 16, "n_layer": 2, "n_head": 2}, "transformer.wte."),
    "llama": (SIZES | ENDS | {"num_key_value_heads": 2}, "model.embed_tokens."),
    "gemma2": (SIZES | ENDS | {"num_key_value_heads": 2, "head_dim": 4}, "model.embed_tokens."),
}
"""What a small model of this type is made with, and the prefix of the parameters that stay as they are."""


def small_classifier(kind, vocabulary, **changes):
    sizes, _ = MODELS.get(kind, (SIZES, ""))
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=vocabulary, pad_token_id=0, **sizes | changes)
    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)


def copies(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", MODELS)
def test_everything_but_the_embeddings_moves(tokenizer, kind, autocast):
    model = small_classifier(kind, len(tokenizer))
    before = copies(model)
    recipe = dataclasses.replace(RECIPE, autocast=autocast)
    fine_tune(model, tokenizer, TEXTS, TARGETS, recipe, progress=False)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name in before if not name.startswith(MODELS[kind][1])}


@pytest.mark.parametrize("kind", MODELS)
def test_every_parameter_is_in_one_group_and_the_head_is_what_is_new(tokenizer, kind):
    model = small_classifier(kind, len(tokenizer))
    encoder, head = ({id(p) for p in group} for group in parameter_groups(model))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    frozen = {number for number, name in names.items() if name.startswith(MODELS[kind][1])}
    assert sorted([*encoder, *head, *frozen]) == sorted(names)
    base = AutoModelForSequenceClassification.from_config(model.config).base_model
    for number in head:
        inner = names[number].removeprefix(f"{model.base_model_prefix}.")
        assert names[number] == inner or inner.startswith("pooler.")
    assert all(
        names[number].removeprefix(f"{model.base_model_prefix}.") in base.state_dict() for number in encoder
    )


@pytest.mark.parametrize("kind", MODELS)
def test_byte_dropout_leaves_the_answers_of_an_architecture_as_they_are(tokenizer, kind):
    model = small_classifier(kind, len(tokenizer)).eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        expected = model(**batch).logits
        with byte_dropout(model):
            torch.testing.assert_close(model(**batch).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("model_class", "config", "message"),
    [
        (
            "T5ForSequenceClassification",
            {"d_model": 16, "num_layers": 1, "d_ff": 32, "d_kv": 8},
            "encoder-decoder",
        ),
        ("BartForSequenceClassification", {"d_model": 16, "encoder_layers": 1}, "encoder-decoder"),
        (
            "XLNetForSequenceClassification",
            {"d_model": 16, "n_layer": 1, "n_head": 2},
            "padding_side = .left.",
        ),
        (
            "GPT2ForSequenceClassification",
            {"n_embd": 16, "n_layer": 1, "n_head": 2},
            "takes the id None for padding, where the tokenizer pads with 0",
        ),
        ("BertModel", SIZES, "AutoModelForSequenceClassification"),
        (
            "BertForSequenceClassification",
            SIZES | {"num_labels": 1},
            "BertForSequenceClassification has 1 outputs",
        ),
        (
            "BertForSequenceClassification",
            SIZES | {"problem_type": "multi_label_classification"},
            "one choice among 2 or more classes",
        ),
    ],
)
def test_what_cannot_be_trained_so_is_refused_by_name_before_anything_changes(
    tokenizer, model_class, config, message
):
    kind = getattr(transformers, model_class)
    model = kind(kind.config_class(vocab_size=len(tokenizer), **config))
    before = copies(model)
    with pytest.raises(ValueError, match=message):
        fine_tune(model, tokenizer, TEXTS, TARGETS, RECIPE, progress=False)
    assert all(p.requires_grad and torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_tokenizer_without_padding_or_of_another_model_is_refused(tokenizer):
    model = small_classifier("bert", 400)
    with pytest.raises(
        ValueError, match=r"gives the id \d+, but BertForSequenceClassification knows ids below 400"
    ):
        fine_tune(model, tokenizer, TEXTS, TARGETS, RECIPE, progress=False)
    bare = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ValueError, match=r"has no padding token\. Set one"):
        fine_tune(model, bare, TEXTS, TARGETS, RECIPE, progress=False)


@pytest.mark.parametrize(
    ("kind", "positions", "limit"), [("roberta", 513, 512), ("bert", 66, 64), ("bert", 20, 16)]
)
def test_long_texts_are_cut_to_what_the_model_takes_and_a_warning_counts_them(
    tokenizer, kind, positions, limit
):
    model = small_classifier(kind, len(tokenizer), max_position_embeddings=positions)
    texts = ["film " * length for length in (1, 5, limit - 2, limit - 1, 900)]
    with pytest.warns(
        UserWarning, match=f"2 of 5 texts are cut at their end: the model takes {limit} tokens"
    ):
        fine_tune(model, tokenizer, texts, TARGETS[:5], RECIPE, progress=False)


def test_a_model_that_drops_nothing_cannot_be_given_a_share_to_drop(tokenizer):
    model = small_classifier("llama", len(tokenizer))
    with (
        pytest.raises(ValueError, match=r"LlamaForSequenceClassification has no dropout to set to 0\.1"),
        ready_to_train(model, dataclasses.replace(RECIPE, dropout=0.1)),
    ):
        raise AssertionError("the block was entered")
