"""What each public function does with each architecture: it equals the model's own output, or refuses by name."""

import base64
import json
import math
import re

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from helpers.attention import attention_weights, special_ids
from helpers.tokens import longest_input, token_table
from helpers.training.classify import classify
from helpers.training.predict import predict_logits
from helpers.transformer import bert_weights, block_weights, encoder_block
from helpers.viewer.attention_view import attention_view
from helpers.viewer.bertviz_offline import head_view

TEXT = "a good film"
WORDS = ["a", "good", "bad", "film", "not", "very", "long"]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BART = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "eos_token_id": 3,
    "bos_token_id": 2, "decoder_start_token_id": 3, "forced_eos_token_id": None,
}  # fmt: skip
T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
    "eos_token_id": 3,
}

NO_QUERIES = "Queries and keys are read from layers like BERT's"
BOTH_SIDES = r"reads one text and writes another. Pass its encoder, model.get_encoder\(\)"
WINDOWED = "looks through windows of"

# name: prefix of the library's classes, settings, padding id, most tokens, errors of what is refused
TABLE = {
    "BERT": ("Bert", SMALL | {"max_position_embeddings": 42}, 0, 42, {}),
    "ELECTRA": ("Electra", SMALL | {"embedding_size": 16, "max_position_embeddings": 40}, 0, 40, {}),
    "RoBERTa": ("Roberta", SMALL | {"max_position_embeddings": 42}, 1, 40, {}),
    "XLM-R": ("XLMRoberta", SMALL | {"max_position_embeddings": 42}, 1, 40, {}),
    "DistilBERT": (
        "DistilBert",
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 40},
        0, 40, {"queries": NO_QUERIES},
    ),
    "ALBERT": (
        "Albert", SMALL | {"embedding_size": 16, "max_position_embeddings": 40}, 0, 40, {"queries": NO_QUERIES},
    ),
    "MPNet": ("MPNet", SMALL | {"max_position_embeddings": 42}, 1, 40, {"queries": NO_QUERIES}),
    "DeBERTa-v2": (
        "DebertaV2",
        SMALL | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_position_embeddings": 40},
        0, 40, {"queries": NO_QUERIES},
    ),
    "ModernBERT": ("ModernBert", SMALL | {"max_position_embeddings": 40}, 0, 40, {"queries": NO_QUERIES}),
    "XLNet": (
        "XLNet", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, 0, math.inf, {"queries": NO_QUERIES},
    ),
    "GPT-2": (
        "GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40}, 0, 40, {"queries": NO_QUERIES},
    ),
    "Llama": (
        "Llama", SMALL | {"num_key_value_heads": 1, "max_position_embeddings": 40}, 0, 40, {"queries": NO_QUERIES},
    ),
    "T5": ("T5", T5, 0, math.inf, {"attention": BOTH_SIDES}),
    "BART": ("Bart", BART | {"max_position_embeddings": 40}, 1, 40, {"attention": BOTH_SIDES}),
    "Marian": (
        "Marian", BART | {"max_position_embeddings": 40}, 1, 40, {"attention": BOTH_SIDES, "classify": "has none"},
    ),
    "Longformer": (
        "Longformer",
        SMALL | {"attention_window": 4, "max_position_embeddings": 42},
        1, 40, {"attention": WINDOWED},
    ),
}  # fmt: skip


def word_tokenizer(pad, side):
    """Whole words; `<s>` before and `</s>` after, as an encoder's."""
    names = {pad: "<pad>", 1 - pad: "<unk>", 2: "<s>", 3: "</s>"}
    vocabulary = {name: number for number, name in names.items()}
    vocabulary |= {word: number for number, word in enumerate(WORDS, start=4)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", padding_side=side,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def made(name, kind, **changes):
    """A small random model of a row of the table, and its tokenizer."""
    prefix, settings, pad, _, _ = TABLE[name]
    config = getattr(transformers, f"{prefix}Config")(
        vocab_size=4 + len(WORDS), pad_token_id=pad, attn_implementation="eager", **settings | changes
    )
    torch.manual_seed(0)
    return getattr(transformers, f"{prefix}{kind}")(config).eval(), word_tokenizer(
        pad, "left" if name == "XLNet" else "right"
    )


def errors(name, function):
    return TABLE[name][4].get(function)


every = pytest.mark.parametrize("name", TABLE)


@every
def test_the_most_tokens_are_those_that_the_model_can_take(name):
    model, tokenizer = made(name, "Model")
    most = longest_input(model, tokenizer)
    assert most == TABLE[name][3]
    n = 100 if most == math.inf else most
    extra = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        model(torch.full((1, n), 5), **extra)
        if name not in ("ModernBERT", "Llama", "T5", "XLNet"):  # these have no table of positions
            with pytest.raises((IndexError, RuntimeError)):
                model(torch.full((1, n + 1), 5), **extra)
    tokenizer.model_max_length = 7
    assert longest_input(model, tokenizer) == 7


@every
def test_attention_weights_are_the_models_own_or_refused_by_name(name):
    model, tokenizer = made(name, "Model")
    if expected := errors(name, "attention"):
        with pytest.raises(ValueError, match=expected):
            attention_weights(model, tokenizer, TEXT)
        return
    ours = attention_weights(model, tokenizer, TEXT)
    assert ours.tokens == ["<s>", *TEXT.split(), "</s>"]
    assert ours.special == [True, False, False, False, True]
    with torch.inference_mode():
        theirs = model(**tokenizer(TEXT, return_tensors="pt"), output_attentions=True).attentions
    assert torch.equal(ours.weights, torch.cat(theirs))
    page = attention_view(ours, layer=1).data
    text = json.loads(re.search(r'"\), (\{.*\})\);\n\}\)\(\);</script>', page).group(1))["texts"][0]
    stored = np.frombuffer(base64.b64decode(text["weights"][0]), np.uint8).reshape(2, 2, 5, 5) / 255
    shown = stored * np.array(text["scales"][0]).reshape(2, 2, 1, 1)
    np.testing.assert_allclose(shown, ours.weights, atol=1 / 510 + 1e-6)
    assert "<iframe" in head_view(ours).data
    if (most := longest_input(model, tokenizer)) < math.inf:
        with pytest.raises(ValueError, match=rf"52 tokens, but the model takes at most {most}"):
            attention_weights(model, tokenizer, "long " * 50)


@every
def test_queries_and_keys_give_the_weights_or_are_refused_by_name(name):
    model, tokenizer = made(name, "Model")
    if expected := errors(name, "queries") or errors(name, "attention"):
        with pytest.raises(ValueError, match=expected):
            attention_weights(model, tokenizer, TEXT, queries_and_keys=True)
        return
    seen = attention_weights(model, tokenizer, TEXT, queries_and_keys=True)
    scores = seen.queries @ seen.keys.mT / seen.queries.shape[-1] ** 0.5
    torch.testing.assert_close(scores.softmax(-1), seen.weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["T5", "BART", "Marian"])
def test_the_encoder_of_an_encoder_decoder_is_shown(name):
    model, tokenizer = made(name, "Model")
    encoder = model.get_encoder()
    ours = attention_weights(encoder, tokenizer, TEXT)
    with torch.inference_mode():
        theirs = encoder(**tokenizer(TEXT, return_tensors="pt"), output_attentions=True).attentions
    assert torch.equal(ours.weights, torch.cat(theirs))


def test_the_encoder_class_of_t5_is_shown():
    model, tokenizer = made("T5", "EncoderModel")
    assert attention_weights(model, tokenizer, TEXT).weights.shape == (2, 2, 5, 5)


@pytest.mark.parametrize("name", [name for name in TABLE if not errors(name, "classify")])
def test_classes_and_logits_are_the_models_own_and_no_text_is_too_long_for_windows(name):
    model, tokenizer = made(name, "ForSequenceClassification", num_labels=3)
    texts = [TEXT, "not a very good film", "bad"]
    with torch.inference_mode():
        alone = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    np.testing.assert_allclose(predict_logits(model, tokenizer, texts), alone, atol=1e-5)
    table = classify(model, tokenizer, texts)
    np.testing.assert_allclose(table[["LABEL_0", "LABEL_1", "LABEL_2"]], alone.softmax(-1), atol=1e-5)
    most = longest_input(model, tokenizer)
    long = "very " * 100 + "good"
    windows = classify(model, tokenizer, [long, "bad"])["windows"].tolist()
    if most == math.inf:
        assert windows == [1, 1]
        assert predict_logits(model, tokenizer, [long]).shape == (1, 3)
    else:
        assert windows == [math.ceil((101 - (most - 2) // 2) / (most - 2 - (most - 2) // 2)), 1]
        with pytest.raises(ValueError, match=rf"Text 1 of 2 has 103 tokens, .* at most {most}.*classify"):
            predict_logits(model, tokenizer, ["bad", long])


def test_a_model_that_reads_its_last_token_refuses_padding_there():
    model, tokenizer = made("XLNet", "ForSequenceClassification", num_labels=2)
    tokenizer.padding_side = "right"
    with pytest.raises(ValueError, match=r'tokenizer\.padding_side = "left"'):
        predict_logits(model, tokenizer, [TEXT])


@pytest.mark.parametrize("name", TABLE)
def test_a_table_of_tokens_needs_no_model_and_has_no_limit(name):
    _, tokenizer = made(name, "Model")
    tokenizer.model_max_length = 16
    text = "a very long film " * 30
    table = token_table(tokenizer, text)
    assert "".join(table["characters"]) == text.replace(" ", "")
    assert table["input_id"].tolist() == tokenizer(text, verbose=False)["input_ids"]


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in TABLE if name != "Marian"])
def test_the_weights_of_a_bert_give_its_block_and_those_of_others_are_refused_by_name(name):
    model, _ = made(name, "Model")
    if name != "BERT":
        with pytest.raises(TypeError, match=f"A BertModel is due here, but a {type(model).__name__} came"):
            bert_weights(model)
        return
    states = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(0))
    block = bert_weights(model)["blocks"][1]
    torch.testing.assert_close(
        encoder_block(states, block, 2)[0], model.encoder.layer[1](states), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_act": "relu"}, "ReLU"),
        ({"layer_norm_eps": 1e-2}, r"0\.01"),
        ({"is_decoder": True, "add_cross_attention": True}, "add_cross_attention=True"),
    ],
)
def test_a_bert_that_computes_otherwise_is_refused(changes, said):
    model, _ = made("BERT", "Model", **changes)
    with pytest.raises(ValueError, match=f"but this layer has .*{said}"):
        bert_weights(model)


def test_a_layer_of_another_model_and_a_bert_without_pooler_are_refused():
    roberta, _ = made("RoBERTa", "Model")
    with pytest.raises(TypeError, match="A BertLayer is due here, but a RobertaLayer came"):
        block_weights(roberta.encoder.layer[0])
    bert, _ = made("BERT", "Model")
    bert.pooler = None
    with pytest.raises(ValueError, match="no pooler"):
        bert_weights(bert)


def byte_level_tokenizer():
    backend = Tokenizer(models.BPE(unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2} | {
        sign: number for number, sign in enumerate(signs, start=3)
    }
    vocabulary["Ã©"] = len(vocabulary)
    backend.model = models.BPE(vocab=vocabulary, merges=[("Ã", "©")])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def roberta_of(tokenizer):
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        max_position_embeddings=42,
        attn_implementation="eager",
        **SMALL,
    )
    return transformers.RobertaModel(config).eval()


def test_byte_level_labels_show_characters_and_mark_their_pieces():
    tokenizer = byte_level_tokenizer()
    seen = attention_weights(roberta_of(tokenizer), tokenizer, "é б")
    assert seen.tokens == ["<s>", "Ã©", "Ġ", "Ð", "±", "</s>"]
    keys = json.loads(re.search(r'"\), (\{.*\})\);\n\}', attention_view(seen).data).group(1))["texts"][0][
        "keys"
    ]
    assert [key["label"] for key in keys] == ["<s>", "é", "Ġ", "б⋯", "⋯б", "</s>"]
    assert [key["kind"] for key in keys] == [1, 0, 0, 0, 0, 1]
    assert "\\u0431\\u22ef" in head_view(seen).data  # JSON's б⋯


def test_special_is_what_the_ids_say_not_how_a_token_looks():
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "<b>": 4, "film": 5, "<0x0A>": 6}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    tokenizer.add_tokens(["[E1]"], special_tokens=True)
    config = transformers.BertConfig(vocab_size=len(tokenizer), attn_implementation="eager", **SMALL)
    seen = attention_weights(transformers.BertModel(config), tokenizer, "<b> film <0x0A> [E1] unheard")
    assert seen.tokens == ["<b>", "film", "<0x0A>", "[E1]", "[UNK]"]
    assert seen.special == [False, False, False, True, False]


def test_a_token_that_is_unknown_and_ends_the_text_is_special():
    tokenizer = byte_level_tokenizer()
    tokenizer.unk_token = "</s>"
    assert special_ids(tokenizer) == {0, 1, 2}


def test_a_tokenizer_written_in_python_is_refused_by_name():
    tokenizer = transformers.ByT5Tokenizer()
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), attn_implementation="eager", num_labels=2, **SMALL
    )
    with pytest.raises(ValueError, match="A ByT5Tokenizer is written in Python"):
        token_table(tokenizer, TEXT)
    with pytest.raises(ValueError, match="A ByT5Tokenizer is written in Python"):
        attention_weights(transformers.BertModel(config), tokenizer, TEXT)
    model = transformers.BertForSequenceClassification(config).eval()
    logits = predict_logits(model, tokenizer, [TEXT])
    with torch.inference_mode():
        own = model(torch.tensor([tokenizer(TEXT)["input_ids"]])).logits
    np.testing.assert_allclose(logits, own, atol=1e-5)
    assert classify(model, tokenizer, TEXT)["label"][0] == f"LABEL_{logits.argmax()}"
    with pytest.raises(ValueError, match="at most 512, and a ByT5Tokenizer cannot cut it into windows"):
        classify(model, tokenizer, "long " * 200)
