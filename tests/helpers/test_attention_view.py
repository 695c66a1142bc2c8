import base64
import dataclasses
import json
import re
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel

from helpers.attention import Attention, attention_weights, attentions_of_batch
from helpers.viewer.attention_view import ASSETS, SCRIPTS, attention_view
from helpers.viewer.labels import CUT, characters_of
from helpers.viewer.still import still_picture


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
        (lambda: attention_view(random_attention(), head="1"), "Layer 0, head '1' is not among"),
        (lambda: attention_view(random_attention(), names=("one",)), "are not two names"),
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


def test_dropout_in_the_weights_is_named_with_the_remedy(eager_model, tokenizer):
    encoding = tokenizer(["A quiet, funny film."], return_tensors="pt")
    eager_model.train()
    torch.manual_seed(0)
    with torch.inference_mode():
        attentions = eager_model(**encoding, output_attentions=True).attentions
    eager_model.eval()
    with pytest.raises(ValueError, match=r"sums to 1, but these sum to 0\.\d+ to 1\.\d+\..*model\.eval\(\)"):
        attention_view(attentions_of_batch(attentions, encoding))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": torch.full((2, 3, 5, 5), -0.2)}, ValueError, r"150 of these are not, such as -0\.2"),
        ({"weights": torch.full((2, 3, 5, 5), torch.nan)}, ValueError, "such as nan"),
        ({"weights": torch.full((2, 3, 5, 5), 0.1)}, ValueError, r"sum to 0\.50 to 0\.50"),
        ({"tokens": ["a", "b", None, "d", "e"]}, TypeError, "None is a NoneType"),
        ({"tokens": ["a", "b", "\ud83d", "d", "e"]}, ValueError, "holds half a character"),
        ({"queries": torch.ones(2, 3, 4, 8)}, ValueError, r"queries of shape \(2, 3, 4, 8\)"),
        ({"keys": torch.ones(1, 3, 5, 8)}, ValueError, r"keys of shape \(1, 3, 5, 8\)"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        attention_view(dataclasses.replace(random_attention(), **changes))


@pytest.mark.parametrize("nothing", [None, torch.ones(1, 1, 2, 2), [torch.ones(1, 1, 2, 2)]])
def test_what_is_no_attention_is_named(nothing):
    with pytest.raises(TypeError, match=r"Weights must be a torch\.Tensor, not a list"):
        Attention(["a"], [0], [[[[1.0]]]])
    with pytest.raises(TypeError, match=r"An Attention is due here, but a (NoneType|Tensor) came"):
        attention_view(nothing)


def test_rounding_to_bfloat16_and_the_rows_of_padding_are_no_fault():
    exact = random_attention(n=64, layers=4, heads=4)
    assert attention_view(dataclasses.replace(exact, weights=exact.weights.bfloat16())).data
    weights = exact.weights.clone()
    weights[:, :, -1] = 0
    with pytest.raises(ValueError, match="sums to 1"):
        attention_view(dataclasses.replace(exact, weights=weights))
    assert attention_view(dataclasses.replace(exact, weights=weights, attention_mask=[1] * 63 + [0])).data


def test_a_head_may_be_a_number_of_numpy():
    view = attention_view(random_attention(), layer=np.int64(1), head=np.int64(2))
    assert payload(view)["start"] == {"layer": 1, "head": 2, "show": "head"}


def test_special_tokens_are_those_of_the_ids_in_a_batch_too(eager_model, tokenizer):
    encoding = tokenizer(["Good [MASK].", "[SEP] is a token."], padding=True, return_tensors="pt")
    with torch.inference_mode():
        attentions = eager_model(**encoding, output_attentions=True).attentions
    for known, masked in ((None, False), (tokenizer, True)):
        first = attentions_of_batch(attentions, encoding, tokenizer=known)[0]
        assert dict(zip(first.tokens, first.special, strict=True))["[MASK]"] is masked
        assert first.special[0]


def test_a_cross_attention_says_which_of_its_tokens_are_special():
    weights = torch.full((1, 1, 2, 3), 1 / 3)
    cross = Attention(
        ["<b>", "film", "</s>"], [0, 0, 0], weights, query_tokens=["le", "</s>"],
        special=[False, False, True], query_special=[False, True],
    )  # fmt: skip
    text = payload(attention_view(cross))["texts"][0]
    assert [token["kind"] for token in text["keys"]] == [0, 0, 1]
    assert [token["kind"] for token in text["queries"]] == [0, 1]
    with pytest.raises(ValueError, match="query_special has 3 entries for 2 tokens"):
        dataclasses.replace(cross, query_special=[False] * 3)


def spelled_in_bytes(text):
    return "".join(
        part for part, _ in ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    )


SIGN = {chr(number): spelled_in_bytes(chr(number)) for number in range(128)}


@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), cuts=st.sets(st.integers(1, 40)))
def test_however_the_bytes_of_a_text_are_cut_every_label_shows_the_characters_it_covers(text, cuts):
    spelled = spelled_in_bytes(text)
    ends = sorted({cut for cut in cuts if cut < len(spelled)} | {len(spelled)})
    starts = [0, *ends[:-1]]
    labels = characters_of([spelled[start:end] for start, end in zip(starts, ends, strict=True)])
    owner = [place for place, character in enumerate(text) for _ in character.encode()]  # of each byte
    for start, end, label in zip(starts, ends, labels, strict=True):
        first, last = owner[start], owner[end - 1]
        covered = text[first : last + 1]
        shown = "".join(SIGN[c] if c.isascii() else c for c in covered)
        before = CUT if start > 0 and owner[start - 1] == first else ""
        after = CUT if end < len(owner) and owner[end] == last else ""
        assert label == f"{before}{shown}{after}"


def test_words_that_spell_no_bytes_stay_as_they_are():
    assert characters_of(["<s>", "Ã©", "日本"], [True, False, False]) == ["<s>", "é", "日本"]


def test_the_still_picture_is_the_weights_in_grey():
    weights = np.array([[0.25, 0.75], [1.0, 0.0]])
    picture = still_picture(weights, ["a", "<b>"], ["c", "d"], "layer 0, head 0", "T")
    data = re.search(r"data:image/png;base64,([^\"]+)", picture).group(1)
    shade = np.asarray(Image.open(BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shade, np.rint(255 * (1 - weights)))
    assert "from &lt;b&gt; to c" in picture


def test_the_browser_code_is_every_script_once():
    assert sorted(f"{name}.js" for name in SCRIPTS) == sorted(path.name for path in ASSETS.glob("*.js"))
