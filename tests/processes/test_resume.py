import dataclasses
import multiprocessing
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_run import (
    LABELS,
    RECIPE,
    TEXTS,
    score,
    small_model,
    small_tokenizer,
    train_and_wait,
    train_and_write,
    train_until_nothing_can_be_written,
)

from helpers.materials.cache import InUseError, is_whole
from helpers.training.loop import fine_tune
from helpers.training.resume import Checkpoints
from helpers.training.targets import one_hot_targets

KILLED = -9
FORKS = multiprocessing.get_context(
    "forkserver"
)  # a server that has imported the library once forks each run
FORKS.set_forkserver_preload(
    ["helpers.training.resume"]
)  # an installed module: the server knows no test folder


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
    if keep is not None:
        options["checkpoints"] = Checkpoints(keep, every=3)
    table = fine_tune(
        model, small_tokenizer(), TEXTS, one_hot_targets(LABELS), recipe, progress=False, **options
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


def write_foreign_things(folder):
    """What is no checkpoint, though its name may look like one."""
    (folder / "step-000099").write_text("a file")
    (folder / ".step-000098").write_text("another file")
    (folder / "step-000097").symlink_to(folder / "nowhere")
    (folder / "step-by-step").mkdir()
    (folder / "step-000096").mkdir()
    (folder / "step-000096" / "state.json").write_text("[]")


def test_what_is_no_checkpoint_is_passed_over_and_left_alone(tmp_path):
    first, _ = train(tmp_path)
    write_foreign_things(tmp_path)
    second, _ = train(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert {"step-000099", ".step-000098", "step-000097", "step-by-step"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_steps_are_ordered_by_their_number_not_by_its_digits(tmp_path):
    train(tmp_path)
    last = sorted(tmp_path.glob("step-*"))[-1]
    last.rename(tmp_path / "step-1000000")
    assert [path.name for path in Checkpoints(tmp_path)._folders()] == ["step-000015", "step-1000000"]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"recipe": dataclasses.replace(RECIPE, learning_rate=5e-4)}, "learning_rate was 0.001, is 0.0005"),
        ({"recipe": dataclasses.replace(RECIPE, epochs=4)}, "epochs was 3, is 4"),
        ({"validate": score}, "validated was False, is True"),
        ({"validate": score, "patience": 2}, "patience was None, is 2"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path, other, named):
    train(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=named):
        train(tmp_path, **other)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def narrower(model):
    model.classifier = torch.nn.Linear(16, 2, bias=False)


def one_weight_changed(model):
    model.base_model.encoder.layer[0].output.dense.weight.data[3, 5] += 1e-3


def embeddings_changed(model):
    model.base_model.embeddings.word_embeddings.weight.data[7] *= 1.01


def half_frozen(model):
    model.base_model.encoder.layer[0].requires_grad_(False)


def more_dropout(model):
    model.dropout.p = 0.4


def another_activation(model):
    model.base_model.encoder.layer[1].intermediate.intermediate_act_fn = torch.nn.ReLU()


def another_configuration(model):
    model.config.layer_norm_eps = 1e-2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (narrower, "starting weights was"),
        (one_weight_changed, "starting weights was"),
        (embeddings_changed, "starting weights was"),
        (half_frozen, "frozen was nothing, is"),
        (more_dropout, "modules was"),
        (another_activation, "modules was"),
        (another_configuration, r"config\.layer_norm_eps was 1e-12, is 0\.01"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, change, named):
    train(tmp_path)
    other = small_model()
    change(other)
    with pytest.raises(ValueError, match=rf"{named}.*make the model anew with the same seed"):
        train(tmp_path, model=other)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    train(tmp_path)
    for texts, labels in ((TEXTS[:-1], LABELS[:-1]), (TEXTS, [1 - label for label in LABELS])):
        with pytest.raises(ValueError, match="data was"):
            fine_tune(
                small_model(),
                small_tokenizer(),
                texts,
                one_hot_targets(labels),
                RECIPE,
                checkpoints=Checkpoints(tmp_path),
            )


def test_a_checkpoint_goes_with_its_model_wherever_that_was_loaded_from(tmp_path):
    first, _ = train(tmp_path / "keep")
    small_model().save_pretrained(tmp_path / "elsewhere")
    second = type(first).from_pretrained(tmp_path / "elsewhere")
    train(tmp_path / "keep", model=second)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_full_disk_is_said_and_the_checkpoints_before_stay_whole(tmp_path):
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=train_until_nothing_can_be_written, args=(tmp_path, theirs))
    process.start()
    kind, message = ours.recv()
    process.join()
    assert kind == "OSError"
    assert re.search(
        rf"Could not write a checkpoint into {tmp_path}.*too large.*Earlier ones are whole", message
    )
    assert [path.name for path in tmp_path.iterdir()] == ["step-000003"]
    assert is_whole(tmp_path / "step-000003")
    resumed, _ = train(tmp_path)
    straight, _ = train()
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters(), strict=True))


def test_a_folder_that_another_process_trains_with_is_refused_and_the_process_named(tmp_path):
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=train_and_wait, args=(tmp_path / "keep", theirs))
    process.start()
    number = ours.recv()
    before = sorted(path.name for path in (tmp_path / "keep").iterdir())
    with pytest.raises(InUseError, match=rf"keep is in use by process {number} on "):
        train(tmp_path / "keep")
    assert sorted(path.name for path in (tmp_path / "keep").iterdir()) == before
    ours.send("go on")
    process.join()
    assert process.exitcode == 0
    train(tmp_path / "keep")


@pytest.mark.parametrize("every", [0, -1, 2.5, True, None])
def test_steps_between_checkpoints_must_be_a_whole_number(tmp_path, every):
    with pytest.raises(ValueError, match=f"1 or more whole steps, not {every}"):
        Checkpoints(tmp_path, every=every)


def test_a_folder_in_which_nothing_can_be_written_is_found_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    steps = []
    with pytest.raises(OSError, match="file"):
        train(tmp_path / "file" / "keep", after_step=steps.append)
    assert steps == []


def test_the_folder_may_be_named_by_a_string(tmp_path):
    train(str(tmp_path))
    assert len(list(tmp_path.glob("step-*"))) == 2


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor, int], ids=lambda kind: kind.__name__)
def test_a_score_may_be_a_number_of_any_library(tmp_path, kind):
    _, table = train(tmp_path, validate=lambda model: kind(3))
    assert table["score"].dropna().tolist() == [3.0, 3.0, 3.0]
    _, again = train(tmp_path, validate=lambda model: kind(3))
    assert again.equals(table)


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


def test_the_history_counts_every_example_once(tmp_path):
    _, table = train(tmp_path)
    assert table["examples"].iloc[-1] == RECIPE.epochs * len(TEXTS)
    assert table["step"].tolist() == list(range(RECIPE.epochs * 6))
