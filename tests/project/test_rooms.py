"""The rooms of `helpers` and the arrows between them, drawn from the imports; and how long a file may be."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[2]
FRONT = "front door"
ROOMS = ("install", "materials", "training", "viewer")
ARROWS = {
    FRONT: {FRONT},
    "helpers.colab": {FRONT, "install"},
    "install": {"install"},
    "materials": {"materials", FRONT},
    "training": {"training", "materials", FRONT},
    "viewer": {"viewer", FRONT},
    "book": {"book", FRONT, *ROOMS},
    "chapters": {FRONT, *ROOMS},
}
"""Where each may import from. Only what is ours counts: `tests` is nowhere."""
LONGEST, FRONT_DOOR = 250, 1_000  # lines


def module_name(path: Path) -> str:
    """The dotted name of a Python file; of an `__init__` file, its package's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(module: str) -> str:
    """The part of the house that a module stands in."""
    parts = module.split(".")
    if parts[0] != "helpers":
        return parts[0]
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else FRONT


def imported(source: str, package: list[str]) -> set[str]:
    """The modules of ours that code imports, wherever in it; relative ones from `package`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)} - {"helpers"}
    return {name for name in found if name.split(".")[0] in ("helpers", "book", "tests")}


def files(folder: str, *endings: str) -> list[Path]:
    return sorted(path for ending in endings for path in (ROOT / folder).rglob(f"*{ending}"))


PYTHON = files("helpers", ".py") + files("book", ".py")
OURS = PYTHON + files("helpers", ".js") + files("book", ".js")
NOTEBOOKS = files("chapters", ".ipynb")


def test_the_reader_of_imports_sees_them_all():
    source = (
        "import helpers.quiet as q\nfrom helpers import notebook\nfrom . import loop\nfrom ..materials import hub\n"
        "def later():\n    from book.site import build\n    import torch, tests.x\n"
    )
    expected = [
        "book.site",
        "book.site.build",
        "helpers.materials",
        "helpers.materials.hub",
        "helpers.notebook",
    ]
    expected += ["helpers.quiet", "helpers.training", "helpers.training.loop", "tests.x"]
    assert sorted(imported(source, ["helpers", "training"])) == expected


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_arrow_runs_back(path):
    module = module_name(path)
    package = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
    reached = imported(path.read_text(encoding="utf-8"), package)
    allowed = ARROWS.get(module) or ARROWS[place(module)]
    assert {name for name in reached if place(name) not in allowed} == set()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_imports_only_helpers(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    sound = [cell for cell in code if "raises-exception" not in cell.metadata.get("tags", [])]
    transformed = "\n".join(TransformerManager().transform_cell(cell.source) for cell in sound)
    reached = imported(transformed, [])
    assert reached
    assert {name for name in reached if place(name) not in ARROWS["chapters"]} == set()


def test_every_folder_of_helpers_is_a_room():
    folders = {path.parent.relative_to(ROOT / "helpers").parts[:1] for path in files("helpers", ".py")}
    assert folders == {(), *((room,) for room in ROOMS)}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_at_its_door_in_one_sentence_what_lives_there(room):
    said = ast.get_docstring(ast.parse((ROOT / "helpers" / room / "__init__.py").read_text(encoding="utf-8")))
    sentence = " ".join(said.split())
    assert re.fullmatch(r"[A-Z].{30,}[^.]\.", sentence)
    assert not re.search(r"[.!?] [A-Z]", sentence)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_longer_than_a_reader_likes(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_front_door_is_small():
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "helpers").glob("*.py")]
    assert sum(lines) <= FRONT_DOOR
