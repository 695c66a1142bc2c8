"""Three ways to fine-tune one model on the same reviews, side by side.

`snippet`
    What a copied snippet does: every text padded to 512 tokens, float32, PyTorch's plain AdamW.
`trainer`
    `transformers.Trainer` with its defaults and a collator that pads to the longest text of a batch.
`course`
    `helpers.training.loop.fine_tune` with the profile's recipe.

All have the same model, reviews, batch size and machine. Contenders take turns, so that a machine which
slows down slows them all.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from helpers.materials.checkpoints import checkpoint_folder
from helpers.materials.reviews import load_reviews
from helpers.profile import Profile
from helpers.training.loop import fine_tune
from helpers.training.predict import predict_logits
from helpers.training.recipe import Recipe
from helpers.training.sentiment import sentiment_classifier
from helpers.training.targets import soft_targets

CONTENDERS = {
    "snippet": "a copied snippet: padded to 512, float32",
    "trainer": "Trainer, its defaults, dynamic padding",
    "course": "this course's loop",
}


GOAL = 0.85
"""Validation accuracy whose time is measured."""


SNIPPET_LENGTH = 512


class Bench:
    """The reviews, the tokenizer and the recipe that all contenders share."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.recipe = Recipe.of(profile)
        self.reviews = load_reviews()
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint_folder(profile.encoder)
        )

    def train(
        self,
        contender: str,
        *,
        seed: int = 0,
        steps: int | None = None,
        batch_size: int | None = None,
        after_step: Callable[[int, PreTrainedModel], None] | None = None,
    ) -> PreTrainedModel:
        """Trains a new model as `contender` does and returns it.

        Args:
            steps: so many steps on as many random reviews as they take; without it the contender's own
                number of epochs over all of them.
            after_step: called with the number of finished steps and the model.

        Raises:
            ValueError: no such contender.
        """
        if contender not in CONTENDERS:
            raise ValueError(f"{contender!r} is not a contender. Known: {', '.join(CONTENDERS)}.")
        size = batch_size or self.recipe.batch_size
        train = self.reviews["train"]
        if steps:
            rows = np.random.default_rng(seed).permutation(len(train))[: steps * size]
            train = train.select(rows)
        model = sentiment_classifier(self.profile, seed=seed)
        note = after_step or (lambda number, model: None)
        {"snippet": self._snippet, "trainer": self._trainer, "course": self._course}[contender](
            model, train, seed, steps, size, note
        )
        return model

    def _snippet(self, model, train, seed, steps, size, note) -> None:
        torch.manual_seed(seed)
        encoded = self.tokenizer(
            list(train["text"]), padding="max_length", max_length=SNIPPET_LENGTH, truncation=True
        )
        rows = [
            {"input_ids": ids, "attention_mask": mask, "labels": label}
            for ids, mask, label in zip(
                encoded["input_ids"], encoded["attention_mask"], train["label"], strict=True
            )
        ]
        loader: DataLoader = DataLoader(
            rows,  # type: ignore[arg-type]
            batch_size=size,
            shuffle=True,
            collate_fn=lambda batch: {key: torch.tensor([row[key] for row in batch]) for key in batch[0]},
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
        model.train()
        for number, batch in enumerate(loader, start=1):
            loss = model(**{key: value.to(model.device) for key, value in batch.items()}).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            note(number, model)

    def _trainer(self, model, train, seed, steps, size, note) -> None:
        class Note(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                note(state.global_step, model)
                model.train()

        encoded = self.tokenizer(list(train["text"]), truncation=True)
        data = Dataset.from_dict({**encoded, "label": train["label"]})
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=size,
                max_steps=steps or -1,
                save_strategy="no",
                disable_tqdm=True,
                report_to="none",
                seed=seed,
                use_cpu=self.profile.device.type == "cpu",
            )
            trainer = Trainer(
                model=model,
                args=arguments,
                train_dataset=data,
                data_collator=DataCollatorWithPadding(self.tokenizer),
                callbacks=[Note()],
            )
            trainer.pop_callback(_printer())
            trainer.train()

    def _course(self, model, train, seed, steps, size, note) -> None:
        epochs = 1 if steps else self.recipe.epochs
        fine_tune(
            model,
            self.tokenizer,
            list(train["text"]),
            soft_targets(train["rating"]),
            dataclasses.replace(self.recipe, seed=seed, batch_size=size, epochs=epochs),
            after_step=lambda number: note(number, model),
            progress=False,
        )

    def accuracy(self, model: PreTrainedModel, split: str) -> float:
        """Share of a split's reviews that the model labels as the judges did."""
        was_training = model.training
        logits = predict_logits(
            model, self.tokenizer, list(self.reviews[split]["text"]), autocast=self.recipe.autocast
        )
        model.train(was_training)
        return float(np.mean(logits.argmax(axis=1) == np.array(self.reviews[split]["label"])))


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def clock(ends: list[float]) -> Callable[..., None]:
    """Appends the time of each call to `ends`."""
    return lambda *arguments: ends.append(time.perf_counter())
