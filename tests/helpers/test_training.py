import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, get_linear_schedule_with_warmup

from helpers import training
from helpers.profile import current_profile
from helpers.training import (
    Recipe,
    compiled,
    fine_tune,
    learning_rate_factor,
    length_bucketed_batches,
    predict_logits,
)

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


@given(st.lists(st.integers(1, 512), min_size=1, max_size=100), st.integers(1, 16))
def test_bucketing_never_pads_more_than_the_order_of_the_data(lengths, batch_size):
    def padded(batches):
        return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)

    plain = [
        list(range(start, min(start + batch_size, len(lengths))))
        for start in range(0, len(lengths), batch_size)
    ]
    assert padded(length_bucketed_batches(lengths, batch_size, random.Random(0))) <= padded(plain) + max(
        lengths
    ) * (batch_size - 1)


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
    model = training.sentiment_classifier(current_profile())
    embeddings = model.base_model.embeddings.word_embeddings.weight.detach().clone()
    head = model.classifier.weight.detach().clone()
    history = fine_tune(model, tokenizer, few["text"], targets, dataclasses.replace(RECIPE, epochs=6))
    assert history["loss"].tail(6).mean() < history["loss"].head(6).mean()
    assert history["examples"].iloc[-1] == 6 * len(few)
    assert torch.equal(model.base_model.embeddings.word_embeddings.weight, embeddings)
    assert not torch.equal(model.classifier.weight, head)


def test_the_same_seed_gives_the_same_weights(tokenizer, few, targets):
    models = [training.sentiment_classifier(current_profile()) for _ in range(2)]
    for model in models:
        fine_tune(model, tokenizer, few["text"], targets, RECIPE)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_predictions_keep_the_order_of_the_texts(tokenizer, few):
    model = training.sentiment_classifier(current_profile()).eval()
    texts = list(few["text"][:9])
    together = predict_logits(model, tokenizer, texts, batch_size=4)
    alone = np.concatenate([predict_logits(model, tokenizer, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("texts", "targets", "message"),
    [
        ([], np.zeros((0, 2)), "0 texts"),
        (["a", "b"], np.ones((2, 3)) / 3, r"shape \(2, 2\), not \(2, 3\)"),
        (["a", "b"], np.ones((2, 2)), "sum to 1"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(tokenizer, texts, targets, message):
    with pytest.raises(ValueError, match=message):
        fine_tune(training.sentiment_classifier(current_profile()), tokenizer, texts, targets, RECIPE)


def test_one_hot_targets_give_the_librarys_loss(tokenizer, few, targets):
    batch = tokenizer(list(few["text"]), padding=True, return_tensors="pt")
    ours, library = (training.sentiment_classifier(current_profile()) for _ in range(2))
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
    soft = training.soft_targets(ratings)
    np.testing.assert_allclose(soft[:, 1], torch.sigmoid(2 * torch.tensor(ratings)), atol=1e-6)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)


def test_a_loss_that_is_not_a_number_stops_with_the_remedy(tokenizer, few, targets):
    model = training.sentiment_classifier(current_profile())
    model.classifier.weight.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        fine_tune(model, tokenizer, few["text"], targets, RECIPE)


def test_a_kept_model_is_loaded_and_a_damaged_one_is_trained_again(monkeypatch, tmp_path, tokenizer, few):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(training.reviews, "load_reviews", lambda: {"train": few})
    profile, calls = current_profile(), []
    monkeypatch.setattr(training, "fine_tune", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(training, "sentiment_folder", lambda profile: tmp_path / "sentiment")

    first = training.sentiment_model(profile)
    second = training.sentiment_model(profile)
    assert len(calls) == 1
    assert torch.equal(first.model.classifier.weight, second.model.classifier.weight)

    with (tmp_path / "sentiment" / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    training.sentiment_model(profile)
    assert len(calls) == 2


def test_another_recipe_is_another_folder(monkeypatch):
    profile = current_profile()
    before = training.sentiment_folder(profile)
    monkeypatch.setattr(training.reviews, "ARCHIVE_SHA256", "0" * 64)
    assert training.sentiment_folder(profile) != before


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
