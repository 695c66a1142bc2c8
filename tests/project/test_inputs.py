"""What the key of an execution holds, and what is refused because no key could hold it."""

import dataclasses
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from book import inputs as module
from book.inputs import execution_key, inputs
from book.named import InputError

ROOT = Path(__file__).parents[2]
FILES = {
    "helpers/__init__.py": "",
    "helpers/figures.py": "from .colours import RED\n",
    "helpers/colours.py": "RED = 1\n",
    "helpers/profile.py": '"""Asks `helpers.training.loop`, says the text."""\n',
    "helpers/materials/__init__.py": "",
    "helpers/materials/corpora.py": 'P = "course_data"\ndef read_corpus(name): ...\ndef data_card(name): ...\n',
    "helpers/materials/hub.py": "import helpers.colours\n",
    "helpers/materials/weights.py": "from helpers.materials.hub import fetch\n",
    "helpers/training/__init__.py": "",
    "helpers/training/__main__.py": "from helpers.training.command import main\n",
    "helpers/training/command.py": "from . import loop\nfrom .. import figures\n",
    "helpers/training/loop.py": "X = 1\n",
    "helpers/viewer/__init__.py": "",
    "helpers/viewer/view.py": "",
    "helpers/viewer/assets/part.js": "1",
    "helpers/viewer/assets/deep/more.js": "1",
    "book/kernel/sitecustomize.py": "",
    "data/names.jsonl": "{}\n",
    "data/names.md": "# Names\n",
    "data/README.md": "# Data\n",
    "requirements.txt": "torch-free==1\n",
    "Makefile": "TORCH := 1.0\nother := 1\n",
}


@pytest.fixture
def course(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def cells(*sources, **metadata):
    names = ["here", *map(str, range(len(sources) - 1))]
    code = zip(sources, names, strict=True)
    return new_notebook(cells=[new_code_cell(text, id=name, metadata=metadata) for text, name in code])


def reached(root, *sources, profile="cpu", **metadata):
    """The files that code reaches, without the `__init__` files."""
    found = inputs(cells(*sources, **metadata), root, profile)
    return {
        path.relative_to(root).as_posix().removeprefix("helpers/")
        for path in found
        if path.stem != "__init__"
    }


TRAINING = {"training/__main__.py", "training/command.py", "training/loop.py", "figures.py", "colours.py"}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import helpers.training.loop", {"training/loop.py"}),
        ("from helpers.training import loop as training", {"training/loop.py"}),
        ("from helpers.figures import finish", {"figures.py", "colours.py"}),
        ("def later():\n    from helpers import colours", {"colours.py"}),
        ("import helpers.training", set()),
        ("import importlib\nimportlib.import_module('helpers.training.loop')", {"training/loop.py"}),
        ("import runpy\nrunpy.run_module('helpers.training')", TRAINING),
        ('command = [python, "-m", "helpers.training", "--help"]', TRAINING),
        ('command = (python, "-m", "helpers.training.loop")', {"training/loop.py"}),
        ('launch(2, "-m", "helpers.training")', TRAINING),
        ('run(f"{python} -m helpers.training --out {place}")', TRAINING),
        ("!python -m helpers.training --help", TRAINING),
        ("%run -m helpers.training", TRAINING),
        ("%%bash\npython -m helpers.training.loop\n", {"training/loop.py"}),
        ("%%time\nfrom helpers import colours", {"colours.py"}),
        ("%%writefile probe.py\nfrom helpers.training.loop import X", {"training/loop.py"}),
        ("CHILD = '''\nfrom helpers import colours\n'''", {"colours.py"}),
        ("CHILD = 'from helpers import colours; load(' + plans", {"colours.py"}),
        ("files = !ls\nfrom helpers import colours\nlist?", {"colours.py"}),
        ("await later()\nfrom helpers import colours", {"colours.py"}),
        ("# import helpers.colours\n'helpers.colours says it'", set()),
        ("from helpers.viewer.view import show", {"viewer/view.py", "viewer/assets/part.js", "viewer/assets/deep/more.js"}),
        ("from helpers.profile import Profile", {"profile.py"}),
        ("import book.kernel.sitecustomize", {"../book/kernel/sitecustomize.py"}),
    ],
)  # fmt: skip
def test_what_code_runs_is_found(course, code, files):
    assert reached(course, code) == {name.removeprefix("../") for name in files}


def test_the_init_files_on_the_way_are_found(course):
    found = [
        path.relative_to(course).as_posix() for path in inputs(cells("import helpers.training.loop"), course)
    ]
    assert found == ["helpers/__init__.py", "helpers/training/__init__.py", "helpers/training/loop.py"]


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ('read_corpus("names")', {"data/names.jsonl"}),
        ("corpora.read_corpus('names')", {"data/names.jsonl"}),
        ('read_corpus(\n    name="names",\n)', {"data/names.jsonl"}),
        ('data_card("names")', {"data/names.md"}),
        ('read_corpus("absent")', set()),
        ('read_corpus("/absent")', set()),
        ('open(folder / "names.jsonl")', {"data/names.jsonl"}),
        ('save("README.md")', set()),
        ("CHILD = \"read_corpus('names')\"", {"data/names.jsonl"}),
        ("CHILD = 'read_corpus(\"names\"), load(' + plans", {"data/names.jsonl"}),
        ('files("course_data")', {"data/names.jsonl", "data/names.md", "data/README.md"}),
        ("import course_data", {"data/names.jsonl", "data/names.md", "data/README.md"}),
    ],
)
def test_what_code_reads_is_found(course, code, files):
    assert reached(course, code) == files


def test_the_module_that_reads_the_data_reads_what_its_callers_say(course):
    assert reached(course, "from helpers.materials.corpora import read_corpus") == {"materials/corpora.py"}


@pytest.mark.parametrize(
    "code",
    [
        "importlib.import_module(name)",
        "importlib.import_module('.loop', package)",
        "__import__(name)",
        "runpy.run_module(mod_name=name)",
        "for name in ('names', 'others'):\n    read_corpus(name)",
        "read_corpus(*names)",
        "read = read_corpus",
        "list(map(corpora.read_corpus, names))",
        "from helpers.materials.corpora import read_corpus as read",
        "CHILD = 'read_corpus(name), load(' + plans",
        'command = [python, "-m", module]',
        'command = [python, "-m", *words]',
        'launch(2, "-m", f"helpers.{name}")',
        'run(f"python -m {module}")',
        'run("python -m " + module)',
        'CHILD = f"import {module}"',
        'CHILD = f"from {module} import main"',
        'CHILD = f"from helpers.{module} import main"',
        "open('../data/names.jsonl')",
        "Path('..')",
        "!cat ../../data/names.jsonl",
        "%%bash\ncat ../../data/names.jsonl",
    ],
)
def test_what_cannot_be_seen_is_refused_with_its_cell(course, code):
    with pytest.raises(InputError, match=r"^cell here: .*(does not say what|leaves the notebook's folder)"):
        inputs(cells(code), course)


@pytest.mark.parametrize(
    "code",
    [
        "print('kept to here:', '...' + text)",
        "print(f'from {start} to {end}')",
        "print(f'you can import {count} rows')",
        "parser.add_argument('-m', help='the model')",
        'run([python, "-m", "torch.distributed.run", *words])',
        "importlib.import_module('numpy')",
        "'\\ud800 helpers', '\\0 helpers', r'\\d helpers'",
    ],
)
def test_harmless_code_is_not(course, code):
    assert reached(course, code) == set()


def test_a_helper_that_hides_what_it_runs_is_named(course):
    (course / "helpers" / "colours.py").write_text("import importlib\nX = importlib.import_module(NAME)\n")
    with pytest.raises(InputError, match=r"^helpers/colours\.py: .*does not say"):
        inputs(cells("import helpers.figures"), course)


@pytest.mark.parametrize("code", ["for", "x = (1", "print 'old'"])
def test_a_cell_that_is_not_python_is_named_unless_it_is_to_fail(course, code):
    with pytest.raises(InputError, match=r"^cell here: line \d+: "):
        inputs(cells(code), course)
    failing = cells(
        "from helpers import colours", f"from helpers.training import loop\n{code}", tags=["raises-exception"]
    )
    assert [path.stem for path in inputs(failing, course) if path.stem != "__init__"] == ["colours", "loop"]


def test_a_helper_that_is_not_python_is_named(course):
    (course / "helpers" / "colours.py").write_text("for\n")
    with pytest.raises(InputError, match=r"^helpers/colours\.py: "):
        inputs(cells("import helpers.colours"), course)


def test_the_hub_is_reached_by_the_gpu_profile_and_by_those_who_name_it(course):
    assert reached(course, "import helpers.materials.weights") == {"materials/weights.py"}
    through = reached(course, "import helpers.materials.weights", profile="gpu")
    assert through == {"materials/weights.py", "materials/hub.py", "colours.py"}
    assert "materials/hub.py" in reached(course, "import helpers.materials.hub")


class TestTheKey:
    @pytest.mark.parametrize(
        "name", ["helpers/training/__init__.py", "helpers/training/loop.py", "book/kernel/sitecustomize.py", "requirements.txt"]
    )  # fmt: skip
    def test_follows_each_file_that_is_reached(self, course, name):
        notebook = cells("import helpers.training.loop")
        before = execution_key(notebook, course)
        assert execution_key(notebook, course) == before
        (course / name).write_text("# another\n")
        assert execution_key(notebook, course) != before

    def test_leaves_out_all_others(self, course):
        notebook = cells("import helpers.training.loop")
        before = execution_key(notebook, course)
        (course / "helpers" / "colours.py").write_text("# another\n")
        (course / "data" / "names.md").write_text("# another\n")
        (course / "Makefile").write_text("TORCH := 1.0\nother := 2\n")
        assert execution_key(notebook, course) == before

    def test_follows_torchs_pin_and_what_a_cell_is_allowed(self, course):
        keys = {
            execution_key(cells("1"), course),
            execution_key(cells("1", tags=["raises-exception"]), course),
        }
        (course / "Makefile").write_text("TORCH := 2.0\nother := 1\n")
        assert len(keys | {execution_key(cells("1"), course)}) == 3

    def test_leaves_the_set_up_cell_out(self, course):
        notebook = cells("import helpers")
        setup = new_code_cell("import helpers.colours", metadata={"tags": ["setup"]})
        before = execution_key(notebook, course)
        notebook.cells.insert(0, setup)
        assert execution_key(notebook, course) == before

    def test_follows_all_that_the_profile_asks_for(self, course, monkeypatch):
        profile = module.current_profile()
        keys = {execution_key(cells("1"), course)}
        for change in ({"autocast": not profile.autocast}, {"name": "gpu"}, {"encoder": "another"}):
            monkeypatch.setattr(module, "current_profile", lambda c=change: dataclasses.replace(profile, **c))
            keys.add(execution_key(cells("1"), course))
        assert len(keys) == 4

    def test_follows_pythons_minor_version_and_not_its_patches(self, course, monkeypatch):
        keys = []
        for version in ((3, 11, 7), (3, 11, 9), (3, 12, 0)):
            named = type("Version", (tuple,), {"major": version[0], "minor": version[1]})(version)
            monkeypatch.setattr(module.sys, "version_info", named)
            keys.append(execution_key(cells("1"), course))
        assert keys[0] == keys[1] != keys[2]

    def test_takes_a_named_default_profile_for_the_default(self, monkeypatch):
        said = []
        for change in (
            lambda: monkeypatch.delenv("COURSE_PROFILE", False),
            lambda: monkeypatch.setenv("COURSE_PROFILE", "cpu"),
        ):
            change()
            module.current_profile.cache_clear()
            said.append(module.machine())
        assert said[0] == said[1]
        assert said[0].startswith(
            f"Python {sys.version_info.major}.{sys.version_info.minor}, Profile(name='cpu'"
        )


class TestTheCourse:
    NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))

    @pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
    def test_none_of_its_notebooks_is_refused(self, path):
        found = inputs(nbformat.read(path, as_version=4), ROOT)
        assert ROOT / "helpers" / "__init__.py" in found
        assert ROOT / "helpers" / "materials" / "hub.py" not in found

    def test_the_chapter_that_runs_the_benchmark_has_all_of_it_in_its_key(self):
        found = inputs(nbformat.read(ROOT / "chapters" / "11_efficiency.ipynb", as_version=4), ROOT)
        assert set((ROOT / "helpers" / "training" / "benchmark").glob("*.py")) <= set(found)

    def test_every_variable_that_helpers_read_is_known_to_decide_or_not_to(self):
        """Those that decide outputs do so by the profile; those that name a place or a machine do not."""
        read = re.findall(
            r"\b(?:COURSE|HF)_[A-Z_]+\b",
            "".join(path.read_text() for path in (ROOT / "helpers").rglob("*.py")),
        )
        deciding, places = {"COURSE_PROFILE", "COURSE_WEIGHTS"}, {"COURSE_CACHE", "COURSE_WHEELS"}
        assert {name for name in read if name.startswith("COURSE")} == deciding | places
        profile = (ROOT / "helpers" / "profile.py").read_text()
        assert all(name in profile for name in deciding)
