"""A small training run, for tests that kill it or run it on a team: `small_run.py KEEP OUT`."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from helpers import resume
from helpers.checkpoints import checkpoint_folder
from helpers.distributed import launched_team
from helpers.training import Recipe, fine_tune, one_hot_targets

RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=1e-3, head_learning_rate=1e-3, autocast=False)
TEXTS = [f"{'good' if i % 2 else 'bad'} {'film ' * (i % 7 + 1)}{i}" for i in range(22)]
LABELS = [i % 2 for i in range(22)]


def small_model(dropout=0.1):
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=2,
    )
    return BertForSequenceClassification(config)


def small_tokenizer():
    return AutoTokenizer.from_pretrained(checkpoint_folder("minilm"))


def score(model):
    """A score that peaks in the second epoch, from the weights alone."""
    return -abs(float(model.classifier.weight.detach().double().sum()) * 1e3 % 7 - 3)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after_step(number):
    record = resume.Run.record

    def recording(self, *arguments):
        record(self, *arguments)
        if len(self.history) == number:
            die()

    resume.Run.record = recording


def kill_in_write(number):
    written = []

    def saving(tensors, path):
        written.append(path)
        save_file(tensors, path)
        if len(written) == number:
            os.truncate(path, Path(path).stat().st_size // 2)
            die()

    resume.save_file = saving


def train_and_write(keep, out, kill=None):
    """The run. With `("step", 7)` it kills itself after the seventh step, with `("write", 2)` in the middle
    of the second file that it writes for a checkpoint: by SIGKILL, which no program can catch."""
    if kill:
        {"step": kill_after_step, "write": kill_in_write}[kill[0]](kill[1])
    with launched_team(torch.device("cpu")) as team:
        model = small_model(dropout=0.0 if team.size > 1 else 0.1)
        history = fine_tune(
            model,
            small_tokenizer(),
            TEXTS,
            one_hot_targets(LABELS),
            RECIPE,
            keep=Path(keep),
            save_every=3,
            validate=score,
        )
        if team.rank == 0:
            save_file(dict(model.state_dict()), out)
            np.save(f"{out}.npy", history["loss"].to_numpy())


if __name__ == "__main__":
    train_and_write(*sys.argv[1:])
