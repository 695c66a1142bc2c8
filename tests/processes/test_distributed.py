import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from small_run import LABELS, RECIPE, TEXTS, small_model, small_tokenizer

from helpers.training import distributed
from helpers.training.distributed import launched_team, own_device
from helpers.training.loop import fine_tune
from helpers.training.targets import one_hot_targets
from helpers.training.team import Team

SCRIPT = Path(__file__).parent / "small_run.py"


def torchrun(processes, *arguments, succeeds=True):
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
    ]
    done = subprocess.run(
        [*launcher, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode == 0) == succeeds, done.stderr[-3000:]
    return done.stdout if succeeds else done.stderr


@given(st.lists(st.integers(), min_size=1, max_size=20, unique=True), st.integers(1, 5))
def test_the_shares_of_a_team_average_to_the_mean_of_the_batch(rows, size):
    shares = [Team(rank, size).share(rows) for rank in range(size)]
    assert sorted(row for mine, weight in shares if weight for row in mine) == sorted(rows)
    average = sum(weight * np.mean(mine) for mine, weight in shares) / size
    assert average == pytest.approx(np.mean(rows), rel=1e-9, abs=1e-6)


def test_two_processes_train_as_one_with_the_same_batches(tmp_path):
    torchrun(2, SCRIPT, tmp_path / "keep", tmp_path / "out")
    model = small_model(dropout=0.0)
    table = fine_tune(model, small_tokenizer(), TEXTS, one_hot_targets(LABELS), RECIPE)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), table["loss"], rtol=1e-4)
    first = load_file(sorted((tmp_path / "keep").glob("step-*"))[0] / "model.safetensors")
    assert first.keys() == model.state_dict().keys()


GRADIENTS = """
import sys, torch
from safetensors.torch import save_file
from small_run import LABELS, TEXTS, small_model, small_tokenizer
from helpers.training.distributed import launched_team
with launched_team(torch.device("cpu")) as team:
    model = small_model(dropout=0.0)
    mine, weight = team.share(range(7))
    batch = small_tokenizer()([TEXTS[row] for row in mine], padding=True, return_tensors="pt")
    parallel = team.wrapped(model)
    logits = parallel(**batch).logits
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([LABELS[row] for row in mine]))
    (weight * loss).backward()
    if team.rank == 0:
        save_file({name: p.grad.contiguous() for name, p in model.named_parameters()}, sys.argv[1])
"""


@pytest.mark.parametrize("processes", [2, 3])
def test_gradients_of_a_team_equal_those_of_one_process_with_the_whole_batch(tmp_path, processes):
    script = tmp_path / "gradients.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}){GRADIENTS}")
    torchrun(processes, script, tmp_path / "gradients")
    model = small_model(dropout=0.0)
    batch = small_tokenizer()(TEXTS[:7], padding=True, return_tensors="pt")
    torch.nn.functional.cross_entropy(model(**batch).logits, torch.tensor(LABELS[:7])).backward()
    found = load_file(tmp_path / "gradients")
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-7)


def test_the_command_line_trains_on_two_processes_and_writes_a_model(tmp_path):
    out = tmp_path / "model"
    printed = torchrun(2, "-m", "helpers.training", "--out", out, "--examples", 32, "--epochs", 1)
    assert "validation accuracy 0." in printed
    assert {"model.safetensors", "tokenizer.json", "history.csv"} <= {path.name for path in out.iterdir()}


OWN_FOLDERS = """
import os, sys
from small_run import train_and_write
train_and_write(f"{sys.argv[1]}-{os.environ['RANK']}", sys.argv[2])
"""


def test_machines_that_find_checkpoints_of_different_steps_do_not_train(tmp_path):
    """Each with a folder of its own, as on machines without a shared disk: only that of rank 0 is written."""
    script = tmp_path / "own_folders.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}){OWN_FOLDERS}")
    torchrun(2, script, tmp_path / "keep", tmp_path / "out")
    written = sorted((tmp_path / "keep-0").glob("step-*"))
    assert written
    assert not (tmp_path / "keep-1").exists()
    said = torchrun(2, script, tmp_path / "keep", tmp_path / "out", succeeds=False)
    assert "By rank, the processes found checkpoints of the steps [18, 0]" in said
    assert "Give all machines one shared folder" in said
    assert sorted((tmp_path / "keep-0").glob("step-*")) == written


class TestSeveralGPUs:
    """PyTorch's calls are recorded instead of made: no test has two GPUs."""

    @pytest.fixture
    def calls(self, monkeypatch):
        made = []
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: made.append(("set_device", device)))
        monkeypatch.setattr(
            distributed.dist,
            "init_process_group",
            lambda backend, **options: made.append(("init_process_group", backend, options)),
        )
        monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: made.append(("destroy",)))
        monkeypatch.setattr(distributed.dist, "get_rank", lambda: 5)
        monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 8)
        monkeypatch.setenv("WORLD_SIZE", "8")
        monkeypatch.setenv("LOCAL_RANK", "1")
        return made

    def test_each_process_takes_its_own_before_the_team_forms(self, calls):
        own = torch.device("cuda", 1)
        with launched_team(torch.device("cuda")) as team:
            assert (team.rank, team.size) == (5, 8)
            assert calls == [("set_device", own), ("init_process_group", "nccl", {"device_id": own})]
        assert calls[-1] == ("destroy",)

    def test_on_cpus_none_is_chosen(self, calls):
        with launched_team(torch.device("cpu")):
            assert calls == [("init_process_group", "gloo", {})]

    def test_a_device_is_changed_only_where_there_are_several(self, monkeypatch):
        monkeypatch.setenv("LOCAL_RANK", "3")
        assert own_device(torch.device("cuda")) == torch.device("cuda", 3)
        assert own_device(torch.device("cuda", 0)) == torch.device("cuda", 0)
        assert own_device(torch.device("cpu")) == torch.device("cpu")


def test_without_a_launcher_the_team_is_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with launched_team(torch.device("cpu")) as team:
        assert team == Team()
    assert team.gathered("x") == ["x"]
    assert team.mean(torch.tensor(2.5)) == 2.5
    model = torch.nn.Linear(1, 1)
    assert team.wrapped(model) is model
