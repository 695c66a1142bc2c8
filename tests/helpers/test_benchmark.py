import json
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers.profile import current_profile
from helpers.training.benchmark import limit, report
from helpers.training.benchmark.contenders import CONTENDERS, Bench
from helpers.training.benchmark.limit import MatrixProducts, matmul_share, product_seconds
from helpers.training.benchmark.report import lines
from helpers.training.sentiment import sentiment_classifier


@pytest.fixture(scope="module")
def bench():
    return Bench(current_profile())


def test_the_matrix_products_of_a_training_step_are_those_that_pytorchs_own_counter_finds():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    x, q = torch.randn(6, 16), torch.randn(3, 5, 8, requires_grad=True)
    with MatrixProducts() as found, FlopCounterMode(display=False) as counter:
        (model(x).sum() + (q @ q.transpose(1, 2)).sum()).backward()
    assert found.flops() == counter.get_total_flops() > 0


def test_products_are_timed_once_for_each_time_they_occur(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(limit.time, "perf_counter", lambda: next(clock))
    product = ((2, 3), (3, 1), (3, 4), (4, 1), torch.float32)
    other = ((2, 3), (1, 2), (3, 4), (4, 1), torch.bfloat16)
    # all in order: one tick of the clock; each of the three by itself: one tick each
    assert product_seconds([product, other, product]) == (1, 3)


def test_the_share_counts_the_products_of_each_step_after_the_first_once(monkeypatch):
    torch.manual_seed(0)
    weights, x = torch.randn(16, 32), torch.randn(6, 16)
    times = iter([0.0, 1.0, 2.0, 4.0])  # of the steps of the second run, which are timed

    class Steps:
        def train(self, name, steps, after_step):
            for number in range(1, steps + 1):
                x @ weights
                after_step(number, None)

    seen = []
    monkeypatch.setattr(limit, "product_seconds", lambda found: seen.append(found) or (0.5, 0.25))
    monkeypatch.setattr(limit.time, "perf_counter", lambda: next(times))
    found = matmul_share(Steps(), steps=4)
    assert [len(step) for step in seen] == [1, 1, 1]
    assert found["share"] == 3 * 0.5 / 4
    assert found["gflops"] == pytest.approx(3 * (2 * 6 * 16 * 32) / 4 / 1e9)


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_trains_the_model_and_reports_each_step(bench, name):
    seen = []
    model = bench.train(name, steps=2, batch_size=2, after_step=lambda number, model: seen.append(number))
    assert seen == [1, 2]
    before = sentiment_classifier(bench.profile)
    assert not torch.equal(model.classifier.weight, before.classifier.weight)
    embeddings = [part.base_model.embeddings.word_embeddings.weight for part in (model, before)]
    assert torch.equal(*embeddings) == (name == "course")


def test_an_unknown_contender_is_named_with_the_known_ones(bench):
    with pytest.raises(ValueError, match=r"'magic' is not a contender\. Known: snippet, trainer, course"):
        bench.train("magic")


def test_time_to_the_goal_leaves_out_the_checks_and_is_infinite_where_it_is_missed(monkeypatch, bench):
    now = [0.0]
    monkeypatch.setattr(report.time, "perf_counter", lambda: now[0])

    def train(scores):
        def accuracy(model, split):
            now[0] += 100
            return scores.pop(0) if split == "validation" else 0.5

        def run(name, seed, after_step):
            for number in range(1, 505):
                now[0] += 1
                after_step(number, "model")
            return "model"

        monkeypatch.setattr(bench, "accuracy", accuracy)
        monkeypatch.setattr(bench, "train", run)
        return report.learning(bench, "course", seed=0)

    every = math.ceil(len(bench.reviews["train"]) / bench.recipe.batch_size / 4)
    found = train([0.8, 0.86, 0.9])
    assert (found["seconds_to_goal"], found["steps_to_goal"], found["seconds"]) == (2 * every, 2 * every, 504)
    assert train([0.8] * 9)["seconds_to_goal"] == math.inf


def test_a_report_is_a_table_for_people_and_one_line_for_programs():
    entry = {"examples_per_second": 100.0, "times_trainer": 2.0, "peak_gb": 1.5, "seconds_to_goal": 60.0}
    scores = {"test_accuracy": 0.86, "test_interval": (0.84, 0.88)}
    result = {
        "contenders": {"snippet": entry, "trainer": entry | scores, "course": entry | scores},
        "matmul": dict(share=0.5, share_cached=0.25, gflops=200.0, gflops_alone=400.0, gflops_cached=800.0),
        "growth": {"rows": {320: 1.0, 640: 2.0}, "length": {32: 1.0, 64: 2.5}},
    }
    table = "\n".join(lines(json.loads(json.dumps(result))))
    assert table.count("100.0") == 3
    assert "0.840-0.880" in table
    assert "60*" in table
    assert "400: a share of 0.50" in table
    assert "800 GFLOP/s, a share of 0.25" in table
    assert "640 reviews × 2.00" in table
    short = {key: value for key, value in result.items() if key != "growth"}
    short["contenders"] = {name: {"examples_per_second": 1.0, "times_trainer": 1.0} for name in CONTENDERS}
    assert "peak GB" in table
    assert "peak" not in next(lines(short))
