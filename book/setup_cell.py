"""The first code cell of each notebook of the learner's edition: it brings what is missing where it is opened.

The cell itself only fetches the helpers; the rest is in `helpers/colab.py`, which comes with them.
"""

from __future__ import annotations

from book.repository import NOTEBOOKS_BRANCH, Repository

TEMPLATE = """\
# The set-up: brings what is missing here, and leaves the rest alone.
try:
    from helpers.colab import set_up
except ImportError:  # Colab, or a notebook opened on its own
    import os, subprocess, sys

{source}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    settings = {{**os.environ, "GIT_TERMINAL_PROMPT": "0"}}
    done = subprocess.run(pip + source, env=settings, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr)
        raise RuntimeError(
            f"The course's helpers could not be installed from {{wheels or source[0]}}. "
            "Check that address and the connection, then run this cell again. Without "
            "internet: set COURSE_WHEELS to a folder with the course's wheels."
        ) from None
    from helpers.colab import set_up

set_up()"""

PUBLISHED = """\
    source = ["{address}"]
    if wheels := os.environ.get("COURSE_WHEELS"):  # a room without internet
        source = ["--no-index", "--find-links", wheels, "transformers-course"]"""

LOCAL = """\
    wheels = os.environ.get("COURSE_WHEELS")  # a folder with the course's wheels
    if not wheels:
        raise RuntimeError(
            "The course's helpers are not installed here. Run: %pip install --no-deps "
            "FOLDER/OF/COPY, with your copy of the course, then run this cell again."
        ) from None
    source = ["--no-index", "--find-links", wheels, "transformers-course"]"""


def setup_source(repository: Repository | None) -> str:
    """The source of the set-up cell.

    Args:
        repository: where the helpers can be installed from. With None the cell says how to install them
            from a local copy.
    """
    source = PUBLISHED.format(address=repository.pip(NOTEBOOKS_BRANCH)) if repository else LOCAL
    return TEMPLATE.format(source=source)
