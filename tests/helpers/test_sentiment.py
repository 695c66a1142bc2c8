"""The model that one chapter trains and others load: its key, and what is stored under it."""

import ast
import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from helpers.profile import current_profile
from helpers.training import loop, sentiment
from helpers.training.batches import learning_rate_factor
from helpers.training.loop import fine_tune
from helpers.training.predict import predict_logits
from helpers.training.recipe import Recipe
from helpers.training.targets import soft_targets

PACKAGE = sentiment.HELPERS.name


def imported_helpers(path):
    """The files of the package that a file imports, directly or through others of them, itself among them."""
    found, pending = set(), {path}
    while pending:
        current = pending.pop()
        found.add(current)
        for node in ast.walk(ast.parse((sentiment.HELPERS / current).read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for module in modules:
                name = module.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"
                if module.startswith(f"{PACKAGE}.") and (sentiment.HELPERS / name).exists():
                    pending |= {name} - found
    return found


class TestTheKey:
    @pytest.fixture
    def copied(self, monkeypatch, tmp_path):
        """The code as copies that a test may edit: a function of a name and of two texts, old and new."""
        for name in sentiment.CODE:
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text((sentiment.HELPERS / name).read_text())
        monkeypatch.setattr(sentiment, "HELPERS", tmp_path)

        def edit(name, old, new):
            text = (tmp_path / name).read_text()
            assert text.count(old) == 1
            (tmp_path / name).write_text(text.replace(old, new))

        return edit

    def test_names_every_file_that_the_loop_imports(self):
        assert imported_helpers("training/loop.py") <= set(sentiment.CODE)
        assert {"training/sentiment.py", "training/targets.py", "materials/reviews.py"} <= set(sentiment.CODE)
        for module in ("resume", "distributed", "command", "classify"):
            assert f"training/{module}.py" not in sentiment.CODE

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("training/loop.py", "fused=True", "fused=False"),
            ("training/batches.py", "pad_to_multiple_of=8", "pad_to_multiple_of=16"),
            ("training/batches.py", "torch.bfloat16", "torch.float16"),
            ("training/sentiment.py", "torch.manual_seed(seed)", "torch.manual_seed(seed + 1)"),
            ("training/dropout.py", "LEVELS = 256", "LEVELS = 128"),
            ("training/parts.py", '"pooler", None', '"pool", None'),
        ],
    )
    def test_changes_with_the_code(self, copied, name, old, new):
        before = sentiment.sentiment_folder(current_profile())
        copied(name, old, new)
        assert sentiment.sentiment_folder(current_profile()) != before

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("training/loop.py", '"""The trained parameters (all but', '"""What is trained (all but'),
            ("training/recipe.py", '"""Of the encoder, at the peak', '"""The encoder\'s, at the peak'),
            ("training/dropout.py", "LEVELS = 256", "LEVELS = 256  # the values of a byte"),
            ("training/batches.py", "import random\n", "import random\n\n\n"),
        ],
    )
    def test_stays_when_only_the_reading_changes(self, copied, name, old, new):
        before = sentiment.sentiment_folder(current_profile())
        copied(name, old, new)
        assert sentiment.sentiment_folder(current_profile()) == before

    def test_changes_with_recipe_and_data(self, monkeypatch):
        profile = current_profile()
        before = sentiment.sentiment_folder(profile)
        assert sentiment.sentiment_folder(dataclasses.replace(profile, epochs=7)) != before
        monkeypatch.setattr(sentiment.reviews, "ARCHIVE_SHA256", "0" * 64)
        assert sentiment.sentiment_folder(profile) != before


def small_classifier(profile, seed=0):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    labels = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    return BertForSequenceClassification(BertConfig(**sizes, **labels))


@pytest.fixture
def few(monkeypatch, tmp_path, reviews):
    """40 reviews in 20 steps, a small random model, and a cache of its own."""
    monkeypatch.setattr(sentiment, "sentiment_classifier", small_classifier)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    split = {
        "train": reviews["train"].select(range(40)),
        "validation": reviews["validation"].select(range(60)),
    }
    monkeypatch.setattr(sentiment.reviews, "load_reviews", lambda: split)
    return split


@pytest.fixture
def profile():
    return dataclasses.replace(current_profile(), batch_size=4)


class TestWhatIsLoaded:
    @pytest.fixture
    def trained(self, monkeypatch, few):
        """The model as `_train` would give it, untrained, and a list that grows with each training."""
        calls = []

        def train(profile):
            calls.append(profile)
            tokenizer = sentiment.AutoTokenizer.from_pretrained(sentiment.checkpoint_folder(profile.encoder))
            return sentiment.sentiment_classifier(profile), tokenizer, []

        monkeypatch.setattr(sentiment, "_train", train)
        return calls

    def test_is_trained_once(self, trained, profile):
        first, second = sentiment.sentiment_model(profile), sentiment.sentiment_model(profile)
        assert len(trained) == 1
        assert torch.equal(first.model.classifier.weight, second.model.classifier.weight)

    def damage_weights(self, folder):
        with (folder / "model.safetensors").open("r+b") as file:
            file.truncate(5000)

    def lose_tokenizer(self, folder):
        (folder / "tokenizer.json").unlink()

    def swap_labels(self, folder):
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = {"0": "positive", "1": "negative"}
        (folder / "config.json").write_text(json.dumps(config))

    @pytest.mark.parametrize(
        "damage", [damage_weights, lose_tokenizer, swap_labels], ids=lambda f: f.__name__
    )
    def test_is_trained_anew_if_any_of_its_files_is_damaged(self, trained, profile, damage):
        sentiment.sentiment_model(profile)
        damage(self, sentiment.sentiment_folder(profile))
        loaded = sentiment.sentiment_model(profile)
        assert len(trained) == 2
        assert loaded.model.config.id2label == {0: "negative", 1: "positive"}
        assert loaded.tokenizer.tokenize("a wonderful film") == ["a", "wonderful", "film"]


class TestWhatIsStored:
    """A run as chapter 8 makes it: with the library's loop, which a test of the chapter holds it against."""

    def run(self, tokenizer, few, profile, **changes):
        """Model, losses, rates and accuracy of a run with `changes` to the recipe."""
        recipe = dataclasses.replace(Recipe.of(profile), **changes)
        model, noted = sentiment.sentiment_classifier(profile), {}
        steps = recipe.epochs * -(-len(few["train"]) // recipe.batch_size)

        def note(step):
            if step == steps:
                texts, labels = few["validation"]["text"], np.array(few["validation"]["label"])
                logits = predict_logits(model, tokenizer, texts, autocast=recipe.autocast)
                noted["accuracy"] = float(np.mean(logits.argmax(axis=1) == labels))

        targets = soft_targets(few["train"]["rating"])
        table = fine_tune(
            model, tokenizer, few["train"]["text"], targets, recipe, after_step=note, progress=False
        )
        rates = [
            recipe.learning_rate * learning_rate_factor(step, steps, recipe.warmup_share)
            for step in range(1, steps + 1)
        ]
        return model, {"losses": table["loss"].tolist(), "rates": rates, **noted}

    def test_is_the_result_of_the_recipe_and_others_load_it(
        self, monkeypatch, tokenizer, few, profile, capsys
    ):
        model, record = self.run(tokenizer, few, profile)
        random_numbers = torch.get_rng_state()
        folder = sentiment.store_sentiment_model(model, tokenizer, profile, **record)
        assert folder == sentiment.sentiment_folder(profile)
        assert torch.equal(torch.get_rng_state(), random_numbers)
        assert capsys.readouterr().out == ""
        monkeypatch.setattr(sentiment, "_train", None)  # it is not trained again
        loaded = sentiment.sentiment_model(profile).model
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))

    def test_is_what_another_chapter_would_train_itself(self, tokenizer, few, profile):
        model, _ = self.run(tokenizer, few, profile)
        trained, _, _ = sentiment._train(profile)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained.parameters(), strict=True))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"epochs": 1}, "10 losses and 10 rates, where the recipe takes 20 steps"),
            ({"batch_size": 8}, "10 losses and 10 rates"),
            ({"learning_rate": 2e-4}, "learning rate 0.0002 after step 1, where the recipe has 0.0001"),
            ({"warmup_share": 0.5}, "learning rate 2e-05 after step 1"),
            ({"head_learning_rate": 1e-4}, "loss .* at step 2, where the recipe has"),
            ({"seed": 1}, "loss .* at step 1, where the recipe has"),
            ({"dropout": 0.0}, "loss .* at step 1, where the recipe has"),
            ({"max_gradient_norm": 0.1}, "loss .* at step [23], where the recipe has"),
            ({"weight_decay": 0.5}, "loss .* at step [23], where the recipe has"),
        ],
        ids=str,
    )
    def test_is_never_an_experiment(self, tokenizer, few, profile, capsys, changes, reason):
        model, record = self.run(tokenizer, few, profile, **changes)
        assert sentiment.store_sentiment_model(model, tokenizer, profile, **record) is None
        said = capsys.readouterr().out
        assert said.startswith("Kept for this kernel only: not the recipe's result (")
        assert said.count("\n") == 1
        assert re.search(reason, said)
        assert not sentiment.sentiment_folder(profile).exists()

    def test_is_never_another_model_than_the_one_that_was_trained(self, tokenizer, few, profile, capsys):
        model, record = self.run(tokenizer, few, profile)
        with torch.inference_mode():
            for weights in (model.classifier.weight, model.classifier.bias):
                weights.copy_(weights.flip(0))  # each class's answer is the other's now
        assert sentiment.store_sentiment_model(model, tokenizer, profile, **record) is None
        assert "validation accuracy" in capsys.readouterr().out


def test_the_loop_knows_neither_checkpoints_nor_other_processes():
    assert imported_helpers("training/loop.py").isdisjoint({"training/resume.py", "training/distributed.py"})
    assert loop.__name__ == f"{PACKAGE}.training.loop"
