"""Writes the repository's address of `_config.yml` into the notebooks: `python -m book.setup_cells`.

Each notebook opens alone in Colab, so each carries the address; it is set in one place all the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import yaml

from book.files import write_if_changed

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "https://github.com/OWNER/transformers-course"
"""The address until the public one is known."""

TEMPLATE = """import sys

if "google.colab" in sys.modules:  # Colab brings torch and numpy; this adds only what is missing
    %pip install --quiet --no-deps "git+{url}@{branch}"
    from helpers.colab import install_missing

    install_missing()"""


def setup_source(root: Path = ROOT) -> str:
    """The source that the cell `setup` of every notebook must have."""
    repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return TEMPLATE.format(url=repository["url"], branch=repository["branch"])


def main() -> int:
    source = setup_source()
    for path in sorted((ROOT / "chapters").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.get("id") == "setup":
                cell.source = source
        if write_if_changed(path, nbformat.writes(notebook) + "\n"):
            print(f"{path.relative_to(ROOT)}: set-up cell updated")
    return 0


if __name__ == "__main__":
    sys.exit(main())
