"""`python -m helpers.training` on a small model: what it refuses, and that nothing is lost at its end."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import die, hold, small_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from helpers.materials.reviews import load_reviews
from helpers.training import command
from helpers.training.progress import Run

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["helpers.training.command"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--epochs", "0", "--out", "new"], "--epochs must be at least 1, not 0"),
        (["--patience", "0", "--out", "new"], "--patience must be at least 1, not 0"),
        (
            ["--learning-rate", "-1", "--out", "new"],
            "--learning-rate must be a finite number above 0, not -1.0",
        ),
        (
            ["--learning-rate", "inf", "--out", "new"],
            "--learning-rate must be a finite number above 0, not inf",
        ),
        (["--seed", str(2**70), "--out", "new"], f"--seed must be from 0 up to 2**63, not {2**70}"),
        (["--out", "."], ". exists already"),
        ([], "required: --out"),
        (["--out", "run", "--keep", "run"], "--keep run and --out run must be two folders"),
        (["--out", "run", "--keep", "run/keep"], "neither inside the other"),
        (["--out", "run/model", "--keep", "run"], "neither inside the other"),
        (["--out", "run", "--keep", "other/../run/./keep"], "neither inside the other"),
        (["--out", "new", "--keep", __file__], "is a file: name a folder"),
    ],
)
def test_wrong_arguments_get_one_clear_line(monkeypatch, tmp_path, capsys, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something").write_text("")
    with pytest.raises(SystemExit, match="2"):
        command.arguments(given)
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_folders_side_by_side_and_an_empty_one_are_accepted(tmp_path):
    (tmp_path / "model").mkdir()
    given = command.arguments(["--out", str(tmp_path / "model"), "--keep", str(tmp_path / "model-keep")])
    assert given.keep.name == "model-keep"


@pytest.fixture
def small(monkeypatch):
    """A model and reviews that take a second."""
    splits = load_reviews()
    few = {name: splits[name].select(range(12)) for name in ("train", "validation")}
    monkeypatch.setattr(command, "load_reviews", lambda: few)
    monkeypatch.setattr(command, "sentiment_classifier", lambda profile, seed: small_model())


def started(*options):
    return command.main([*map(str, options), "--epochs", "1", "--batch-size", "4"])


def afterwards(monkeypatch, act):
    """Something happens while the model trains."""
    train = command.fine_tune

    def fine_tune(*given, **options):
        table = train(*given, **options)
        act()
        return table

    monkeypatch.setattr(command, "fine_tune", fine_tune)


def loads(folder):
    AutoTokenizer.from_pretrained(folder)
    return AutoModelForSequenceClassification.from_pretrained(folder).num_labels == 2


def test_the_model_is_written_where_it_was_asked_for_and_others_may_read_it(small, tmp_path, capsys):
    before = os.umask(0o022)
    try:
        assert started("--out", tmp_path / "new" / "model") == 0
    finally:
        os.umask(before)
    assert loads(tmp_path / "new" / "model")
    assert f"model in {tmp_path / 'new' / 'model'}\n" in capsys.readouterr().out
    for path in (tmp_path / "new" / "model", *(tmp_path / "new" / "model").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044


def test_an_empty_folder_is_filled(small, tmp_path):
    (tmp_path / "model").mkdir()
    assert started("--out", tmp_path / "model") == 0
    assert loads(tmp_path / "model")


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_was_made_meanwhile_is_kept_and_the_model_written_beside_it(
    small, monkeypatch, tmp_path, capsys, kind
):
    out = tmp_path / "mine"

    def make():
        (tmp_path / "mine-2").mkdir()
        (tmp_path / "mine-2" / "also.tex").write_text("more")
        if kind == "folder":
            out.mkdir()
            (out / "thesis.tex").write_text("five years")
        elif kind == "file":
            out.write_text("five years")
        else:
            (tmp_path / "elsewhere").mkdir()
            out.symlink_to(tmp_path / "elsewhere")

    afterwards(monkeypatch, make)
    assert started("--out", out) == 0
    if kind == "folder":
        assert (out / "thesis.tex").read_text() == "five years"
    elif kind == "file":
        assert out.read_text() == "five years"
    else:
        assert out.is_symlink()
        assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "mine-2" / "also.tex").read_text() == "more"
    assert loads(tmp_path / "mine-3")
    said = capsys.readouterr().out
    assert f"model in {tmp_path / 'mine-3'}\n" in said
    assert f"not in {out}" in said


def below_a_file(folder):
    (folder / "file").write_text("")
    return folder / "file" / "model"


def in_a_system_folder(folder):
    return Path("/proc/model") if sys.platform == "linux" else pytest.skip("Linux has /proc")


@pytest.mark.parametrize("place", [below_a_file, in_a_system_folder], ids=lambda place: place.__name__)
def test_a_place_that_cannot_be_written_is_found_before_the_training(small, monkeypatch, tmp_path, place):
    monkeypatch.setattr(command, "fine_tune", None)
    out = place(tmp_path)
    with pytest.raises(SystemExit, match=f"--out {out} cannot be written: .*Name another folder"):
        started("--out", out)


def test_a_place_that_can_no_longer_be_written_costs_no_model(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command.tempfile, "tempdir", str(tmp_path))
    place = command.written(
        in_a_system_folder(tmp_path), lambda folder: (folder / "model").write_text("trained")
    )
    assert place.parent == tmp_path
    assert (place / "model").read_text() == "trained"
    assert "/proc/model cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--keep"])
def test_a_folder_that_another_run_has_is_refused_and_the_process_named(small, tmp_path, option):
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=hold, args=(tmp_path / option, theirs))
    process.start()
    number = ours.recv()
    others = {"--out": tmp_path / "out", "--keep": tmp_path / "keep"} | {option: tmp_path / option}
    with pytest.raises(SystemExit, match=f"{option} is in use by process {number} on "):
        started(*(word for pair in others.items() for word in pair))
    ours.send("go")
    process.join()
    assert started("--out", tmp_path / "out") == 0


def killed_after_three_steps(folder):
    """A run of the command that dies by SIGKILL before its fourth step is noted."""
    record = Run.record

    def recording(self, *arguments):
        record(self, *arguments)
        if len(self.history) == 3:
            die()

    Run.record = recording
    command.sentiment_classifier = lambda profile, seed: small_model()
    run_on_few(folder)


def run_on_few(folder):
    folders = ["--out", str(folder / "model"), "--keep", str(folder / "keep"), "--save-every", "2"]
    command.main([*folders, "--examples", "20", "--epochs", "1", "--batch-size", "4"])


def test_a_killed_run_starts_again_with_the_same_command(monkeypatch, tmp_path):
    process = FORKS.Process(target=killed_after_three_steps, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "keep").glob("step-*")] == ["step-000002"]
    monkeypatch.setattr(command, "sentiment_classifier", lambda profile, seed: small_model())
    run_on_few(tmp_path)
    assert loads(tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"model", "keep"}


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.training", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: python -m helpers.training")
