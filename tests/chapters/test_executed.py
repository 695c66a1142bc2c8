"""The chapters as they were executed: errors, budgets, and the figures that the course promises."""

import dataclasses
import math
import random
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from transformers import AutoTokenizer

from book.execute import chapter_notebooks, execution_key, glued
from helpers.figures import finish
from helpers.materials.checkpoints import checkpoint_folder
from helpers.materials.reviews import load_reviews
from helpers.profile import current_profile
from helpers.training.batches import learning_rate_factor, length_bucketed_batches
from helpers.training.classify import classify
from helpers.training.loop import fine_tune
from helpers.training.predict import predict_logits
from helpers.training.recipe import Recipe
from helpers.training.sentiment import sentiment_classifier
from helpers.training.targets import soft_targets

ROOT = Path(__file__).parents[2]
CHAPTERS = chapter_notebooks(ROOT)


def executed(path: Path) -> nbformat.NotebookNode:
    done = ROOT / "build" / "executed" / path
    assert done.exists(), "run make execute first"
    return nbformat.read(done, as_version=4)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
class TestChapter:
    def test_its_output_belongs_to_its_code_helpers_and_lock(self, path):
        source = nbformat.read(ROOT / path, as_version=4)
        assert executed(path).metadata["course_key"] == execution_key(source, ROOT)

    def test_every_cell_ran_in_order(self, path):
        counts = [cell.execution_count for cell in executed(path).cells if cell.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))

    def test_it_stays_under_its_memory_budget(self, path):
        # child processes count: two chapters start some beside all that they have loaded
        budget = 2.0 if path.stem == "11_efficiency" else 1.8  # it measures processes beside itself
        assert float(glued(executed(path))["cost_memory"].removesuffix(" GB")) <= budget

    def test_every_figure_quoted_in_its_text_was_recorded(self, path):
        notebook = executed(path)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        quoted = set(re.findall(r"\{glue:text\}`([^`]+)`", text))
        assert quoted - set(glued(notebook)) == set()
        assert {"cost_time", "cost_memory"} <= quoted


def test_fine_tuning_reaches_the_promised_accuracy():
    notebook = executed(Path("chapters/08_fine_tuning.ipynb"))
    values = glued(notebook)
    assert len(load_reviews()["test"]) >= 1_000
    assert float(values["accuracy_test"]) >= 0.85
    low, high = map(float, values["interval_test"].split(" to "))
    assert low < float(values["accuracy_test"]) < high


def from_notebook(path: str, cell_ids: list[str], given: dict) -> dict:
    """The names that the cells of a chapter define, without running the rest of it."""
    notebook = nbformat.read(ROOT / path, as_version=4)
    sources = {cell.id: cell.source for cell in notebook.cells}
    namespace = dict(given)
    for name in cell_ids:
        exec(compile(sources[name], f"{path}:{name}", "exec"), namespace)
    return namespace


class TestTheLoopOfChapter8AndTheOneInHelpers:
    @pytest.fixture(scope="class")
    def taught(self):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint_folder("minilm"))
        given = {
            "np": np,
            "F": torch.nn.functional,
            "torch": torch,
            "profile": current_profile(),
            "tokenizer": tokenizer,
            "reviews": load_reviews(),
            "math": math,
            "go": go,
            "finish": finish,
            "glue": lambda **values: None,
            "pd": pd,
            "probabilities": lambda logits: torch.softmax(torch.tensor(logits), dim=-1).numpy(),
        }
        return from_notebook(
            "chapters/08_fine_tuning.ipynb",
            [
                "batches",
                "predict-function",
                "schedule-function",
                "optimizer",
                "live",
                "loop",
                "loop-outer",
                "classify",
            ],
            given,
        )

    def test_make_the_same_batches(self, taught):
        lengths = list(np.random.default_rng(0).integers(3, 60, size=500))
        ours = length_bucketed_batches(lengths, 32, random.Random(1))
        assert taught["length_bucketed_batches"](lengths, 32, random.Random(1)) == ours

    def test_have_the_same_schedule(self, taught):
        for step in range(60):
            assert taught["learning_rate_factor"](step, 60, 0.06) == learning_rate_factor(step, 60, 0.06)

    def test_train_to_the_same_weights_and_predict_the_same(self, taught):
        few = load_reviews()["train"].select(range(64))
        profile = current_profile()
        recipe = dataclasses.replace(Recipe.of(profile), batch_size=16)
        taught["accuracy"] = lambda model, split: 0.0
        theirs, ours = sentiment_classifier(profile), sentiment_classifier(profile)
        targets = soft_targets(few["rating"])
        history, _ = taught["fine_tune"](theirs, few["text"], targets, recipe)
        table = fine_tune(ours, taught["tokenizer"], few["text"], targets, recipe)
        assert [row["loss"] for row in history] == table["loss"].tolist()
        for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
            assert torch.equal(a, b)
        texts = few["text"][:20]
        np.testing.assert_array_equal(
            taught["predict_logits"](theirs, texts),
            predict_logits(ours, taught["tokenizer"], texts, autocast=profile.autocast),
        )

    def test_classify_a_short_and_a_long_text_alike(self, taught):
        model = sentiment_classifier(current_profile()).eval()
        texts = ["A quiet film.", "word " * 900]
        theirs = taught["classify"](model, texts)
        ours = classify(model, taught["tokenizer"], texts, autocast=current_profile().autocast)
        np.testing.assert_array_equal(theirs["p(positive)"], ours["positive"])
        assert theirs["windows"].tolist() == ours["windows"].tolist() == [1, 2]
        assert theirs["label"].tolist() == ours["label"].tolist()
