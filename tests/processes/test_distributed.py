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

from helpers import finetune
from helpers.distributed import Team
from helpers.training import fine_tune, one_hot_targets

SCRIPT = Path(__file__).parent / "small_run.py"


def torchrun(processes, *arguments):
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
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


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
from helpers.distributed import launched_team
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
    printed = torchrun(2, "-m", "helpers.finetune", "--out", out, "--examples", 32, "--epochs", 1)
    assert "validation accuracy 0." in printed
    assert {"model.safetensors", "tokenizer.json", "history.csv"} <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--epochs", "0", "--out", "new"], "--epochs must be at least 1, not 0"),
        (["--learning-rate", "-1", "--out", "new"], "--learning-rate must be above 0, not -1.0"),
        (["--out", "."], r"\. exists already"),
        ([], "required: --out"),
    ],
)
def test_wrong_arguments_get_one_clear_line(capsys, command, message):
    with pytest.raises(SystemExit, match="2"):
        finetune.arguments(command)
    assert message.replace("\\", "") in capsys.readouterr().err
