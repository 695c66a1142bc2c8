"""The whole benchmark: speeds, learning and growth, as numbers and as a table for people."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from transformers import PreTrainedModel

from helpers.memory import own_peak, release_memory
from helpers.profile import current_profile
from helpers.quiet import quiet
from helpers.training.benchmark.contenders import CONTENDERS, GOAL, Bench, clock
from helpers.training.benchmark.limit import matmul_share
from helpers.training.loop import fine_tune
from helpers.training.sentiment import sentiment_classifier


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
                after_step=clock(ends),
            )
            release_memory()
            first = 0 if slow else 1
            rates[name].append(size * (len(ends) - 1 - first) / (ends[-1] - ends[first]))
    table = pd.DataFrame({"examples_per_second": {name: float(np.median(r)) for name, r in rates.items()}})
    return table.assign(times_trainer=table["examples_per_second"] / table["examples_per_second"]["trainer"])


def peak_of(name: str, batch_size: int | None = None, steps: int = 6) -> float:
    """Peak memory in GB (10⁹ bytes) of a process of its own that trains as `name` does for some steps.

    Raises:
        RuntimeError: the process failed; its last lines are in the message.
    """
    command = [sys.executable, "-m", "helpers.training.benchmark", "--peak", name, "--steps", str(steps)]
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
            after_step=clock(ends),
            progress=False,
        )
        by_length[length] = float(np.median(np.diff(ends)))
    return {"rows": by_rows, "length": by_length}


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


def wilson_interval(accuracy: float, n: int) -> tuple[float, float]:
    """95 % interval of an accuracy seen on `n` examples (Wilson, 1927); chapter 8 derives it."""
    interval = binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


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
        prog="python -m helpers.training.benchmark", description=(__doc__ or "").splitlines()[0]
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
