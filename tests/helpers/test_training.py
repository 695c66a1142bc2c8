import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, get_linear_schedule_with_warmup

from helpers.profile import current_profile
from helpers.training.batches import learning_rate_factor, length_bucketed_batches
from helpers.training.loop import compiled, fine_tune
from helpers.training.predict import predict_logits
from helpers.training.recipe import Recipe
from helpers.training.sentiment import sentiment_classifier
from helpers.training.targets import one_hot_targets, soft_targets

RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=1e-4, head_learning_rate=1e-3, autocast=False)


@pytest.fixture(scope="module")
def few(reviews):
    return reviews["train"].select(range(48))


@pytest.fixture(scope="module")
def targets(few):
    return np.eye(2, dtype=np.float32)[few["label"]]


@given(st.lists(st.integers(1, 512), min_size=1, max_size=200), st.integers(1, 40), st.integers(0, 5))
def test_every_row_is_in_exactly_one_batch(lengths, batch_size, seed):
    batches = length_bucketed_batches(lengths, batch_size, random.Random(seed))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert len(batches) == math.ceil(len(lengths) / batch_size)


@given(st.lists(st.integers(1, 512), min_size=16, max_size=100), st.integers(1, 16))
def test_in_full_batches_bucketing_never_pads_more_than_the_order_of_the_data(lengths, batch_size):
    lengths = lengths[: len(lengths) // batch_size * batch_size]

    def places(batches):
        return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)

    rows = list(range(len(lengths)))
    plain = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    assert places(length_bucketed_batches(lengths, batch_size, random.Random(0))) <= places(plain)


def test_no_rows_and_no_batch_size_are_refused():
    with pytest.raises(ValueError, match="0 rows in batches of 4"):
        length_bucketed_batches([], 4)
    with pytest.raises(ValueError, match="batches of 0"):
        length_bucketed_batches([3], 0)


def test_after_warm_up_the_schedule_equals_the_librarys():
    steps, share = 100, 0.1
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    library = get_linear_schedule_with_warmup(optimizer, 10, steps)
    for step in range(steps):
        if step >= 10:
            assert learning_rate_factor(step, steps, share) == pytest.approx(library.get_last_lr()[0])
        optimizer.step()
        library.step()
    assert learning_rate_factor(0, steps, share) == pytest.approx(0.1)


def test_training_lowers_the_loss_and_leaves_the_embeddings_alone(tokenizer, few, targets):
    model = sentiment_classifier(current_profile())
    embeddings = model.base_model.embeddings.word_embeddings.weight.detach().clone()
    head = model.classifier.weight.detach().clone()
    history = fine_tune(model, tokenizer, few["text"], targets, dataclasses.replace(RECIPE, epochs=6))
    assert history["loss"].tail(6).mean() < history["loss"].head(6).mean()
    assert history["examples"].iloc[-1] == 6 * len(few)
    assert torch.equal(model.base_model.embeddings.word_embeddings.weight, embeddings)
    assert not torch.equal(model.classifier.weight, head)


def test_the_same_seed_gives_the_same_weights(tokenizer, few, targets):
    models = [sentiment_classifier(current_profile()) for _ in range(2)]
    for model in models:
        fine_tune(model, tokenizer, few["text"], targets, RECIPE)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_predictions_keep_the_order_of_the_texts(tokenizer, few):
    model = sentiment_classifier(current_profile()).eval()
    texts = list(few["text"][:9])
    together = predict_logits(model, tokenizer, texts, batch_size=4)
    alone = np.concatenate([predict_logits(model, tokenizer, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


HALVES = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("texts", "targets", "error", "message"),
    [
        ([], np.zeros((0, 2)), ValueError, "0 texts"),
        ("ab", HALVES, TypeError, "A list of texts is due here, but one came: 'ab'"),
        (None, HALVES, TypeError, "The texts must come in a list, but this is a NoneType"),
        (["a", " "], HALVES, ValueError, "Text 1 of 2: The text is empty"),
        (["a", None], HALVES, TypeError, "Text 1 of 2: A text must be a str"),
        (["a", "b"], np.ones((2, 3)) / 3, ValueError, r"shape \(2, 2\), not \(2, 3\)"),
        (["a", "b"], np.ones((2, 2)), ValueError, "sum to 1"),
        (["a", "b"], None, ValueError, "sum to 1|shape"),
        (["a", "b"], ["no", "yes"], ValueError, "must be an array of numbers, one row a text, not list"),
        (["a", "b"], 3, ValueError, r"shape \(2, 2\), not \(\)"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(tokenizer, texts, targets, error, message):
    with pytest.raises(error, match=message):
        fine_tune(sentiment_classifier(current_profile()), tokenizer, texts, targets, RECIPE)


def test_targets_may_be_lists(tokenizer):
    tables = []
    for targets in ([[0.25, 0.75], [1, 0]], np.array([[0.25, 0.75], [1, 0]], dtype=np.float32)):
        model = sentiment_classifier(current_profile())
        tables.append(fine_tune(model, tokenizer, ["good", "bad"], targets, RECIPE, progress=False))
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1, not 0"),
        ({"epochs": 1.5}, r"epochs must be a whole number from 1, not 1\.5"),
        ({"epochs": True}, "not True"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"learning_rate": -1}, "learning_rate must be a finite number above 0, not -1"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"head_learning_rate": math.inf}, "head_learning_rate"),
        ({"learning_rate": "1e-4"}, "not '1e-4'"),
        ({"autocast": None}, "autocast must be True or False, not None"),
        ({"compile_from": 0.5}, "compile_from"),
        ({"dropout": 1.0}, "dropout must be a share from 0 up to 1"),
        ({"warmup_share": 1.2}, r"warmup_share must be a share from 0 to 1, not 1\.2"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"max_gradient_norm": 0}, "max_gradient_norm must be a number above 0, not 0"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**70}, f"seed must be a whole number from 0 up to 2..63, not {2**70}"),
    ],
    ids=str,
)
def test_a_recipe_that_no_run_could_use_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **changes)


@given(st.integers(1, 2**31), st.floats(1e-12, 1e3), st.integers(0, 2**63 - 1), st.floats(0, 1))
def test_a_recipe_of_other_numbers_in_range_is_accepted(number, rate, seed, share):
    recipe = Recipe(number, np.int64(number), rate, np.float32(rate), True, warmup_share=share, seed=seed)
    assert dataclasses.replace(recipe, max_gradient_norm=math.inf).batch_size == number


def test_stopped_after_some_steps_a_run_is_the_beginning_of_the_whole_one(tokenizer, few, targets):
    tables, models = [], []
    for stop_after in (None, 4):
        seen = []
        models.append(sentiment_classifier(current_profile()))
        tables.append(
            fine_tune(
                models[-1],
                tokenizer,
                few["text"],
                targets,
                dataclasses.replace(RECIPE, epochs=2),
                after_step=seen.append,
                stop_after=stop_after,
                progress=False,
            )
        )
    assert seen == [1, 2, 3, 4]
    assert tables[1].equals(tables[0].head(4))
    assert not models[1].training
    assert not torch.equal(models[0].classifier.weight, models[1].classifier.weight)


@pytest.mark.parametrize(
    "score", ["half", [0.5], torch.tensor([0.5, 0.6]), math.nan, np.float64("inf")], ids=str
)
def test_a_score_that_is_no_number_is_refused(tokenizer, score):
    model = sentiment_classifier(current_profile())
    with pytest.raises(ValueError, match=r"`validate` returned .*, but a score must be one finite number"):
        fine_tune(
            model, tokenizer, ["good", "bad"], HALVES, RECIPE, validate=lambda model: score, progress=False
        )


@pytest.mark.parametrize(
    "options", [{"patience": 2}, {"patience": 0, "validate": lambda model: 0.5}, {"stop_after": 0}], ids=str
)
def test_patience_without_scores_and_counts_below_one_are_refused(tokenizer, options):
    with pytest.raises(ValueError, match=r"patience=\d needs `validate`|stop_after=0 must be"):
        fine_tune(
            sentiment_classifier(current_profile()), tokenizer, ["good", "bad"], HALVES, RECIPE, **options
        )


def test_one_hot_targets_give_the_librarys_loss(tokenizer, few, targets):
    batch = tokenizer(list(few["text"]), padding=True, return_tensors="pt")
    ours, library = (sentiment_classifier(current_profile()) for _ in range(2))
    ours.eval(), library.eval()
    whole = dataclasses.replace(RECIPE, batch_size=len(few))
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.inference_mode():
        expected = library(**batch, labels=torch.tensor(few["label"])).loss.item()
    assert fine_tune(ours, tokenizer, few["text"], targets, whole)["loss"][0] == pytest.approx(
        expected, abs=1e-5
    )


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=20))
def test_soft_targets_are_the_logistic_function_of_twice_the_rating(ratings):
    soft = soft_targets(ratings)
    np.testing.assert_allclose(soft[:, 1], torch.sigmoid(2 * torch.tensor(ratings)), atol=1e-6)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "ratings", [None, "good", 2.0, [1.0, None], ["good"], [math.nan], [[1.0], [2.0]]], ids=str
)
def test_ratings_that_are_no_numbers_are_refused(ratings):
    with pytest.raises(ValueError, match="Ratings must be a list of finite numbers"):
        soft_targets(ratings)


def test_labels_must_be_a_list_of_the_classes_numbers():
    with pytest.raises(ValueError, match=r"Label 2 at row 1 is not among 0 to 1 \(2 such rows\)"):
        one_hot_targets([0, 2, 1, -1])
    for labels in (None, 1, "01"):
        with pytest.raises(TypeError, match="A list of labels is due here"):
            one_hot_targets(labels)


def test_a_loss_that_is_not_a_number_stops_with_the_remedy(tokenizer, few, targets):
    model = sentiment_classifier(current_profile())
    model.classifier.weight.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        fine_tune(model, tokenizer, few["text"], targets, RECIPE)


class TestCompiling:
    @pytest.fixture
    def model(self):
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        torch.manual_seed(0)
        return BertForSequenceClassification(BertConfig(vocab_size=50, **sizes)).eval()

    @pytest.fixture
    def graphs(self):
        """The graphs that were compiled, and the backend that records them."""
        made = []

        def backend(graph, inputs):
            made.append(graph)
            return graph.forward

        torch.compiler.reset()
        yield made, backend
        torch.compiler.reset()

    @pytest.mark.parametrize(("compile_from", "steps"), [(10, 9), (None, 10**6)])
    def test_too_few_steps_compile_nothing(self, model, graphs, compile_from, steps):
        made, backend = graphs
        compiled(model, compile_from, steps, backend)(input_ids=torch.ones(2, 8, dtype=torch.long))
        assert made == []

    def test_enough_steps_compile_once_for_all_lengths_and_change_neither_names_nor_results(
        self, model, graphs
    ):
        made, backend = graphs
        batches = [torch.randint(50, shape) for shape in [(4, 8), (4, 16), (3, 24), (4, 64)]]
        names = list(model.state_dict())
        before = [model(input_ids=ids).logits for ids in batches]
        front = compiled(model, 10, 10, backend)
        after = [front(input_ids=ids).logits for ids in batches]
        assert len(made) == 1
        assert list(model.state_dict()) == names
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one, other)
