import dataclasses
import multiprocessing

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_run import LABELS, RECIPE, TEXTS, score, small_model, small_tokenizer, train_and_write

from helpers import resume
from helpers.training import fine_tune, one_hot_targets

KILLED = -9
FORKS = multiprocessing.get_context(
    "forkserver"
)  # a server that has imported the library once forks each run
FORKS.set_forkserver_preload(["helpers.training"])  # an installed module: the server knows no test folder


def run(keep, out, kill=None):
    process = FORKS.Process(target=train_and_write, args=(keep, out, kill))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder / "keep", folder / "out") == 0
    return load_file(folder / "out"), np.load(folder / "out.npy")


@pytest.mark.parametrize(
    "kills",
    [
        [("step", 1)],  # before the first checkpoint
        [("step", 5), ("step", 11), ("step", 17)],  # within each epoch
        [("step", 6)],  # between the epochs, before the score is taken
        [("write", 1), ("write", 4)],  # half a file of a checkpoint is written
        [("write", 5), ("step", 18)],
    ],
    ids=str,
)
def test_a_run_killed_at_any_moment_ends_with_the_weights_of_an_undisturbed_one(undisturbed, kills, tmp_path):
    for kill in kills:
        assert run(tmp_path / "keep", tmp_path / "out", kill) == KILLED
    assert run(tmp_path / "keep", tmp_path / "out") == 0
    weights, losses = load_file(tmp_path / "out"), np.load(tmp_path / "out.npy")
    assert all(torch.equal(weights[name], value) for name, value in undisturbed[0].items())
    np.testing.assert_array_equal(losses, undisturbed[1])
    assert [path.name for path in (tmp_path / "keep").iterdir() if path.name.startswith(".")] == []


def train(keep=None, recipe=RECIPE, model=None, **options):
    model = model or small_model()
    table = fine_tune(
        model, small_tokenizer(), TEXTS, one_hot_targets(LABELS), recipe, keep=keep, save_every=3, **options
    )
    return model, table


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, table = train(tmp_path)
    second, again = train(tmp_path)
    assert again.equals(table)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    first, _ = train(tmp_path)
    last = sorted(tmp_path.glob("step-*"))[-1]
    with (last / "model.safetensors").open("r+b") as file:
        file.seek(500)
        file.write(b"damage")
    second, _ = train(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"recipe": dataclasses.replace(RECIPE, learning_rate=5e-4)}, "learning_rate was 0.001, is 0.0005"),
        ({"recipe": dataclasses.replace(RECIPE, epochs=4)}, "epochs was 3, is 4"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_and_kept(tmp_path, other, named):
    train(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=named):
        train(tmp_path, **other)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_checkpoint_of_another_model_or_other_data_is_refused(tmp_path):
    train(tmp_path)
    wider = small_model()
    wider.classifier = torch.nn.Linear(16, 2, bias=False)
    with pytest.raises(ValueError, match="weights was"):
        train(tmp_path, model=wider)
    with pytest.raises(ValueError, match="data was"):
        fine_tune(
            small_model(), small_tokenizer(), TEXTS[:-1], one_hot_targets(LABELS[:-1]), RECIPE, keep=tmp_path
        )


def test_a_full_disk_is_said_and_the_checkpoints_before_stay_whole(monkeypatch, tmp_path):
    save_file, files = resume.save_file, []

    def full(tensors, path):
        files.append(path)
        if len(files) > 2:
            raise OSError(28, "No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr(resume, "save_file", full)
    with pytest.raises(OSError, match=r"No space left on device.*Earlier ones are whole"):
        train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000003"]
    monkeypatch.undo()
    train(tmp_path)


def test_an_interrupted_run_leaves_a_usable_model_and_goes_on(tmp_path):
    def interrupt(model):
        raise KeyboardInterrupt

    model = small_model()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, model=model, validate=interrupt)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    resumed, _ = train(tmp_path, validate=score)
    straight, _ = train(validate=score)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    scores, weights = iter([0.6, 0.8, 0.7, 0.8, 0.9]), []

    def validate(model):
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(scores)

    model, table = train(recipe=dataclasses.replace(RECIPE, epochs=5), validate=validate, patience=2)
    assert table["score"].dropna().tolist() == [0.6, 0.8, 0.7, 0.8]
    assert all(torch.equal(value, weights[1][name]) for name, value in model.state_dict().items())


def test_labels_out_of_range_are_named_with_their_row():
    with pytest.raises(ValueError, match=r"Label 2 at row 1 is not among 0 to 1 \(2 such rows\)"):
        one_hot_targets([0, 2, 1, -1])


def test_the_history_counts_every_example_once(tmp_path):
    _, table = train(tmp_path)
    assert table["examples"].iloc[-1] == RECIPE.epochs * len(TEXTS)
    assert table["step"].tolist() == list(range(RECIPE.epochs * 6))
