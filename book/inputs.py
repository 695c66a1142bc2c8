"""What decides the outputs of a notebook: its code, the files of the course that it reaches, and the machine."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import nbformat

from book.named import OURS, InputError, Named, named_by, named_by_text
from helpers.profile import current_profile

CORPORA = Path("helpers/materials/corpora.py")
"""The one file that may name the folder of the data: which file it opens, its callers say."""
KERNEL = Path("book/kernel")
"""The folder that comes first on the kernel's PYTHONPATH."""
UNREACHED = {"cpu": {Path("helpers/materials/hub.py")}}
"""What a profile never runs, though helpers import it: the `cpu` profile has all weights in packages, and its
kernels have no network. A notebook that names the file itself reaches it all the same."""


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells that decide the outputs: the set-up cell installs elsewhere what is here already."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if "setup" not in cell.metadata.get("tags", [])]


def inputs(notebook: nbformat.NotebookNode, root: Path, profile: str = "cpu") -> list[Path]:
    """The files of the course that the notebook runs or reads, directly or through others, sorted.

    All files of a folder `assets` beside a module that it imports are among them.

    Raises:
        InputError: a variable names what it runs or reads, or a cell or a helper is not Python.
    """
    unreached = {root / path for path in UNREACHED.get(profile, ())}
    found: set[Path] = set()
    pending = {path for cell in code_cells(notebook) for path in _files(_named_in(cell), root)}
    while pending:
        found.add(path := pending.pop())
        if path.suffix == ".py":
            pending |= _files(_named_in_module(path, root), root) - unreached - found
    assets = {asset for path in found for asset in (path.parent / "assets").rglob("*") if asset.is_file()}
    return sorted(found | assets)


def _named_in(cell: nbformat.NotebookNode) -> Named:
    place = f"cell {cell.get('id', '(without an id)')}"
    try:
        try:
            return named_by(cell.source)
        except SyntaxError as error:
            if not _may_fail(cell):
                raise InputError(f"line {error.lineno}: {error.msg}") from error
            return named_by_text(cell.source)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _named_in_module(path: Path, root: Path) -> Named:
    own = path.relative_to(root)
    try:
        named = named_by(path.read_text(encoding="utf-8"), ".".join(own.parent.parts))
    except (InputError, SyntaxError) as error:
        raise InputError(f"{own}: {error}") from error
    return Named(named.modules, named.run) if own == CORPORA else named


def _may_fail(cell: nbformat.NotebookNode) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def _files(named: Named, root: Path) -> set[Path]:
    found = {path for name in named.modules for path in _module_files(name, root)}
    found |= {path for name in named.run for path in _module_files(name, root, run=True)}
    names = named.data - {"README.md"}  # every model's card has this name, too
    data = [path for path in (root / "data").glob("*") if path.is_file()]
    return found | {path for path in data if path.name in names or "*" in names}


def _module_files(name: str, root: Path, *, run: bool = False) -> set[Path]:
    """The files that an import of `name` executes, the `__init__` files on the way among them.

    Args:
        name: dotted; its last parts may be what a module defines.
        run: it is run by `-m`: of a package that is its `__main__` file.
    """
    found: set[Path] = set()
    parts, folder = name.split("."), root
    if parts[0] not in OURS:
        return found
    for part in parts:
        if (package := folder / part / "__init__.py").is_file():
            found.add(package)
        elif (module := folder / f"{part}.py").is_file():
            return found | {module}
        elif not (folder / part).is_dir():
            return found
        folder /= part
    main = folder / "__main__.py"
    return found | ({main} if run and main.is_file() else set())


def machine() -> str:
    """What decides the outputs beside files: Python's minor version, and all that the profile asks for here.

    With the profile come the variables that it reads, and whether this machine computes in bfloat16. What
    makes a run faster or slower, or sums in another order, is left out: processors, threads, load.
    """
    return f"Python {sys.version_info.major}.{sys.version_info.minor}, {current_profile()!r}"


def execution_key(notebook: nbformat.NotebookNode, root: Path) -> str:
    """A digest of everything that decides the outputs: code, files that it reaches, lock, torch's pin, machine.

    The sentiment model that other chapters load needs no part in it: only the recipe's own result is kept
    under the recipe's name.

    Raises:
        InputError: not all of it can be seen in the code.
    """
    digest = hashlib.sha256()
    for cell in code_cells(notebook):
        digest.update(json.dumps([cell.source, _may_fail(cell)]).encode())
    files = [*inputs(notebook, root, current_profile().name), *sorted((root / KERNEL).glob("*.py"))]
    for path in [*files, root / "requirements.txt"]:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(json.dumps([path.relative_to(root).as_posix(), content]).encode())
    makefile = (root / "Makefile").read_text(encoding="utf-8").splitlines()
    digest.update(json.dumps([line for line in makefile if line.startswith("TORCH :=")]).encode())
    digest.update(machine().encode())
    return digest.hexdigest()
