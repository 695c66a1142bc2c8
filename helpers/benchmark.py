"""Three ways to fine-tune one model on the same reviews, side by side: `python -m helpers.benchmark`.

`snippet`
    What a copied snippet does: every text padded to 512 tokens, float32, PyTorch's plain AdamW.
`trainer`
    `transformers.Trainer` with its defaults and a collator that pads to the longest text of a batch.
`course`
    `helpers.training.fine_tune` with the profile's recipe.

All have the same model, reviews, batch size and machine. Contenders take turns, so that a machine which
slows down slows them all.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from torch.utils._python_dispatch import TorchDispatchMode
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

from helpers.checkpoints import checkpoint_folder
from helpers.memory import own_peak, release_memory
from helpers.profile import Profile, current_profile
from helpers.quiet import quiet
from helpers.reviews import load_reviews
from helpers.training import (
    Recipe,
    fine_tune,
    predict_logits,
    sentiment_classifier,
    soft_targets,
)

CONTENDERS = {
    "snippet": "a copied snippet: padded to 512, float32",
    "trainer": "Trainer, its defaults, dynamic padding",
    "course": "this course's loop",
}
GOAL = 0.85
"""Validation accuracy whose time is measured."""
SNIPPET_LENGTH = 512
MATRIX_PRODUCTS = {"aten.mm.default": 0, "aten.addmm.default": 1, "aten.bmm.default": 0}
"""The operators that multiply matrices, and where the two factors begin among their arguments."""


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


def speeds(bench: Bench, rounds: int = 3, steps: int = 12, snippet_batch: int | None = None) -> pd.DataFrame:
    """Training speed of each contender, taking turns. One row a contender, indexed by its name.

    Args:
        rounds: turns of each; the median counts.
        steps: steps in a turn, of which the first two are warm-up (the snippet, whose steps are long: 2
            and 1).
        snippet_batch: texts in the snippet's batch, where the whole batch padded to 512 does not fit.

    Returns:
        `examples_per_second` and `times_trainer`, its ratio to Trainer's.
    """
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(rounds):
        for name in CONTENDERS:
            slow = name == "snippet"
            size = snippet_batch if slow and snippet_batch else bench.recipe.batch_size
            ends: list[float] = []
            bench.train(
                name,
                seed=turn,
                steps=2 if slow else steps,
                batch_size=size,
                after_step=_clock(ends),
            )
            release_memory()
            first = 0 if slow else 1
            rates[name].append(size * (len(ends) - 1 - first) / (ends[-1] - ends[first]))
    table = pd.DataFrame({"examples_per_second": {name: float(np.median(r)) for name, r in rates.items()}})
    return table.assign(times_trainer=table["examples_per_second"] / table["examples_per_second"]["trainer"])


def _clock(ends: list[float]) -> Callable[..., None]:
    """Appends the time of each call to `ends`."""
    return lambda *arguments: ends.append(time.perf_counter())


class MatrixProducts(TorchDispatchMode):
    """Notes the shapes, strides and type of every matrix product that runs inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if (place := MATRIX_PRODUCTS.get(str(func))) is not None:
            a, b = args[place : place + 2]
            self.found.append((a.shape, a.stride(), b.shape, b.stride(), a.dtype))
        return func(*args, **(kwargs or {}))

    def flops(self) -> int:
        """Multiplications and additions of all products."""
        return sum(2 * math.prod(a) * b[-1] for a, _, b, _, _ in self.found)


def product_seconds(found: Sequence[tuple], repeats: int = 5) -> tuple[float, float]:
    """How long this machine takes for matrix products of these sizes and types alone, nothing between them.

    Returns:
        Seconds for all of them one after another, each with factors of its own, as a training step has
        them: most come from memory. And seconds for each size again and again with the same factors, which
        then lie in the cache: a bound that no training step can reach. Medians of `repeats` after a warm-up.
    """
    factors = [_factors(*product) for product in found]

    def all_in_order() -> None:
        for a, b in factors:
            a @ b

    in_order = _median_seconds(all_in_order, repeats)
    cached = 0.0
    for product in sorted(set(found), key=str):
        a, b = _factors(*product)
        cached += _median_seconds(functools.partial(torch.matmul, a, b), repeats) * list(found).count(product)
    return in_order, cached


def _factors(
    shape_a: Sequence[int],
    stride_a: Sequence[int],
    shape_b: Sequence[int],
    stride_b: Sequence[int],
    dtype: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.full((_extent(shape_a, stride_a),), 0.5, dtype=dtype).as_strided(shape_a, stride_a)
    b = torch.full((_extent(shape_b, stride_b),), 0.5, dtype=dtype).as_strided(shape_b, stride_b)
    return a, b


def _median_seconds(run: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def _extent(shape: Sequence[int], stride: Sequence[int]) -> int:
    return 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))


def matmul_share(bench: Bench, steps: int = 8) -> dict[str, float]:
    """How near the course's training comes to this machine's own rate of matrix multiplication.

    The products of each step are noted once and then timed alone: same sizes, same layout, same type.

    Returns:
        `share`: time of the products alone, in the step's order, over time of the step; `share_cached`: the
        same for products whose factors lie in the cache; `gflops`: what training reaches, `gflops_alone` and
        `gflops_cached`: what the products reach, in 10⁹ operations a second.
    """
    noted: list[MatrixProducts] = []
    marks: list[float] = []

    def note(number: int, model: PreTrainedModel) -> None:
        if noted:
            noted[-1].__exit__(None, None, None)
        noted.append(MatrixProducts())
        noted[-1].__enter__()

    bench.train("course", steps=steps, after_step=note)
    noted.pop().__exit__(None, None, None)
    bench.train("course", steps=steps, after_step=_clock(marks))
    alone, cached = map(sum, zip(*(product_seconds(step.found) for step in noted), strict=True))
    operations = sum(step.flops() for step in noted)
    whole = marks[-1] - marks[0]
    return {
        "share": alone / whole,
        "share_cached": cached / whole,
        "gflops": operations / whole / 1e9,
        "gflops_alone": operations / alone / 1e9,
        "gflops_cached": operations / cached / 1e9,
    }


def peak_of(name: str, batch_size: int | None = None, steps: int = 6) -> float:
    """Peak memory in GB (10⁹ bytes) of a process of its own that trains as `name` does for some steps.

    Raises:
        RuntimeError: the process failed; its last lines are in the message.
    """
    command = [sys.executable, "-m", "helpers.benchmark", "--peak", name, "--steps", str(steps)]
    if batch_size:
        command += ["--batch-size", str(batch_size)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Training as {name} in a process of its own failed:\n{done.stderr[-800:]}")
    return float(done.stdout.split()[-1])


def learning(bench: Bench, name: str, seed: int, checks_per_epoch: int = 4) -> dict[str, float]:
    """A full training run: its accuracy, and the seconds until validation accuracy reached `GOAL`.

    The time of the checks themselves does not count. Where the goal is missed, the seconds are infinite.
    """
    every = math.ceil(len(bench.reviews["train"]) / bench.recipe.batch_size / checks_per_epoch)
    start, checking, seconds_to_goal, steps_to_goal, steps = time.perf_counter(), 0.0, math.inf, math.inf, 0

    def check(number: int, model: PreTrainedModel) -> None:
        nonlocal checking, seconds_to_goal, steps_to_goal, steps
        steps = number
        if number % every or math.isfinite(steps_to_goal):
            return
        began = time.perf_counter()
        if bench.accuracy(model, "validation") >= GOAL:
            seconds_to_goal, steps_to_goal = began - start - checking, number
        checking += time.perf_counter() - began

    model = bench.train(name, seed=seed, after_step=check)
    seconds = time.perf_counter() - start - checking
    validation = bench.accuracy(model, "validation")
    if not math.isfinite(steps_to_goal) and validation >= GOAL:
        seconds_to_goal, steps_to_goal = seconds, steps
    return {
        "seconds": seconds,
        "seconds_to_goal": seconds_to_goal,
        "steps_to_goal": steps_to_goal,
        "validation": validation,
        "test": bench.accuracy(model, "test"),
    }


def growth(
    bench: Bench, lengths: Sequence[int] = (32, 64, 128), rows: Sequence[int] = (320, 640, 1280)
) -> dict:
    """How the course's training time grows: seconds for so many reviews, and for a batch of so long texts."""
    by_rows = {}
    for count in rows:
        start = time.perf_counter()
        bench.train("course", steps=count // bench.recipe.batch_size)
        by_rows[count] = time.perf_counter() - start
    by_length = {}
    for length in lengths:
        texts = ["film " * (length - 2)] * (6 * bench.recipe.batch_size)
        ends: list[float] = []
        fine_tune(
            sentiment_classifier(bench.profile),
            bench.tokenizer,
            texts,
            np.full((len(texts), 2), 0.5, dtype=np.float32),
            dataclasses.replace(bench.recipe, epochs=1),
            after_step=_clock(ends),
            progress=False,
        )
        by_length[length] = float(np.median(np.diff(ends)))
    return {"rows": by_rows, "length": by_length}


def wilson_interval(accuracy: float, n: int, k: float = 1.96) -> tuple[float, float]:
    """95 % interval of an accuracy seen on `n` examples (Wilson, 1927); chapter 8 derives it."""
    middle = accuracy + k**2 / (2 * n)
    spread = k * math.sqrt(accuracy * (1 - accuracy) / n + k**2 / (4 * n**2))
    return (middle - spread) / (1 + k**2 / n), (middle + spread) / (1 + k**2 / n)


def report(bench: Bench, seeds: Sequence[int], short: bool = False) -> dict[str, Any]:
    """The whole benchmark, as a dictionary that JSON can hold: about 30 minutes on two cores.

    Args:
        seeds: one full training run of Trainer and of the course for each.
        short: only speed and the share of the matrix rate, about a minute, in less than 2 GB: the snippet
            gets one text at a time, since 32 texts of 512 tokens need far more.
    """
    table = speeds(bench, rounds=1, snippet_batch=1) if short else speeds(bench)
    result: dict[str, Any] = {
        "machine": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "profile": str(bench.profile),
        "contenders": table.to_dict("index"),
        "matmul": matmul_share(bench, steps=4 if short else 16),
    }
    if short:
        return result
    result["growth"] = growth(bench)
    contenders = result["contenders"]
    for name in CONTENDERS:
        contenders[name]["peak_gb"] = peak_of(name)
    steps: list[float] = []
    for name in ("course", "trainer"):
        runs = [learning(bench, name, seed) for seed in seeds]
        accuracy = float(np.mean([run["test"] for run in runs]))
        steps = [run["steps_to_goal"] for run in runs]
        contenders[name] |= {
            "seconds": float(np.median([run["seconds"] for run in runs])),
            "seconds_to_goal": float(np.median([run["seconds_to_goal"] for run in runs])),
            "test_accuracy": accuracy,
            "test_interval": wilson_interval(accuracy, len(bench.reviews["test"])),
            "test_by_seed": [run["test"] for run in runs],
        }
    # padding does not change the answer: the snippet needs Trainer's steps, each at its own speed
    rate = contenders["snippet"]["examples_per_second"]
    contenders["snippet"]["seconds_to_goal"] = float(np.median(steps)) * bench.recipe.batch_size / rate
    return result


def lines(result: dict[str, Any]) -> Iterator[str]:
    """A report as a table for people."""
    whole = "seconds_to_goal" in result["contenders"]["snippet"]
    columns = f"{f's to {GOAL}':>11}{'test':>8}{'95 %':>15}{'peak GB':>9}" if whole else ""
    yield f"{'':42}{'examples/s':>11}{'× Trainer':>11}{columns}"
    for name, words in CONTENDERS.items():
        entry = result["contenders"][name]
        row = f"{words:42}{entry['examples_per_second']:11.1f}{entry['times_trainer']:11.3f}"
        if "seconds_to_goal" in entry:
            computed = "*" if name == "snippet" else ""
            row += f"{entry['seconds_to_goal']:10.0f}{computed:1}"
        if "test_accuracy" in entry:
            low, high = entry["test_interval"]
            row += f"{entry['test_accuracy']:8.3f}{f'{low:.3f}-{high:.3f}':>15}"
        elif "peak_gb" in entry:
            row += " " * 23
        yield row + (f"{entry['peak_gb']:9.2f}" if "peak_gb" in entry else "")
    if whole:
        yield "* computed: the steps that Trainer needed, at this contender's own speed"
    matmul = result["matmul"]
    yield (
        f"The course's training computes at {matmul['gflops']:.0f} GFLOP/s; its matrix products alone, in the "
        f"same order, at {matmul['gflops_alone']:.0f}: a share of {matmul['share']:.2f}."
    )
    yield (
        f"Each product repeated with its factors in the cache: {matmul['gflops_cached']:.0f} GFLOP/s, "
        f"a share of {matmul['share_cached']:.2f}."
    )
    for what, unit in (("rows", "reviews"), ("length", "tokens a text")):
        if seconds := result.get("growth", {}).get(what):
            first = next(iter(seconds.values()))
            ratios = (f"{count} {unit} × {value / first:.2f}" for count, value in seconds.items())
            yield "Time against " + ", ".join(ratios)


def main(command: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints a table and then one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.benchmark", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=3, help="training runs of each contender (%(default)s)")
    parser.add_argument("--peak", choices=CONTENDERS, help="only train some steps and print the peak in GB")
    parser.add_argument("--steps", type=int, default=6, help="steps of --peak (%(default)s)")
    parser.add_argument("--batch-size", type=int, help="examples in a batch of --peak (the profile's)")
    parser.add_argument("--short", action="store_true", help="only speed: a minute, less than 2 GB")
    given = parser.parse_args(command)
    quiet()
    bench = Bench(current_profile())
    if given.peak:
        bench.train(given.peak, steps=given.steps, batch_size=given.batch_size)
        print(own_peak() / 1e9)
        return 0
    result = report(bench, range(given.seeds), given.short)
    print("\n".join(lines(result)))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
