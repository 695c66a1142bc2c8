"""A small training run, for tests that kill it or run it on a team: `small_run.py KEEP OUT`."""

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from helpers.materials.cache import locked
from helpers.materials.checkpoints import checkpoint_folder
from helpers.training import resume
from helpers.training.distributed import launched_team
from helpers.training.loop import fine_tune
from helpers.training.progress import Run
from helpers.training.recipe import Recipe
from helpers.training.targets import one_hot_targets

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
    record = Run.record

    def recording(self, *arguments):
        record(self, *arguments)
        if len(self.history) == number:
            die()

    Run.record = recording


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
            team=team,
            checkpoints=resume.Checkpoints(Path(keep), every=3),
            validate=score,
        )
        if team.rank == 0:
            save_file(dict(model.state_dict()), out)
            np.save(f"{out}.npy", history["loss"].to_numpy())


def train_and_wait(keep, connection):
    """A run that says when it is in its fourth step, and goes on when it is told to."""

    def wait(number):
        if number == 4:
            connection.send(os.getpid())
            connection.recv()

    fine_tune(
        small_model(),
        small_tokenizer(),
        TEXTS,
        one_hot_targets(LABELS),
        RECIPE,
        checkpoints=resume.Checkpoints(keep, every=3),
        after_step=wait,
        progress=False,
    )


def train_until_nothing_can_be_written(keep, connection):
    """A run whose files may not grow beyond 20 kB after the fourth step: a disk that is full. Sends what it met."""

    def fill_up(number):
        if number == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    try:
        fine_tune(
            small_model(),
            small_tokenizer(),
            TEXTS,
            one_hot_targets(LABELS),
            RECIPE,
            checkpoints=resume.Checkpoints(keep, every=3),
            after_step=fill_up,
            progress=False,
        )
    except Exception as error:
        connection.send((type(error).__name__, str(error)))


def hold(path, connection):
    """Has the lock of a path until it is told to go."""
    with locked(path):
        connection.send(os.getpid())
        connection.recv()


if __name__ == "__main__":
    train_and_write(*sys.argv[1:])
