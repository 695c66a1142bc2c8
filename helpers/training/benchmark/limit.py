"""How near training comes to this machine's own rate of matrix multiplication."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from helpers.training.benchmark.contenders import Bench, clock

MATRIX_PRODUCTS = {"aten.mm.default": 0, "aten.addmm.default": 1, "aten.bmm.default": 0}
"""The operators that multiply matrices, and where the two factors begin among their arguments."""


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
    with ExitStack() as step:

        def note(number: int, model: PreTrainedModel) -> None:
            step.close()  # the step that is over
            noted.append(step.enter_context(MatrixProducts()))

        bench.train("course", steps=steps, after_step=note)
    noted.pop()  # begun after the last step
    bench.train("course", steps=steps, after_step=clock(marks))
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
