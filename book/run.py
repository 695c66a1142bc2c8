"""One notebook through nbmake, in processes that end with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from book.inputs import KERNEL

CELL_TIMEOUT = 900  # seconds: a stuck cell ends, a slow machine does not
TICK = 1.0  # seconds between two looks at a running notebook


@contextmanager
def kernel_environment(root: Path) -> Iterator[dict[str, str]]:
    """The environment in which notebooks run: this one, with the course's `sitecustomize` first on the path.

    Kernels keep their files in a folder of their own, which ends with the environment.
    """
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # threads that wait spin briefly, then sleep: on busy cores a pair that spins on is ten times slower
    settings.setdefault("GOMP_SPINCOUNT", "20000")
    with tempfile.TemporaryDirectory(prefix="course-kernel-") as folder:
        place = Path(folder)  # not the clone's own: its path may hold what separates paths
        for module in (root / KERNEL).glob("*.py"):
            (place / module.name).write_bytes(module.read_bytes())
        before = [settings["PYTHONPATH"]] if settings.get("PYTHONPATH") else []
        settings["PYTHONPATH"] = os.pathsep.join([folder, *before])
        settings["JUPYTER_RUNTIME_DIR"] = str(place / "jupyter")
        yield settings


def run_notebook(
    name: Path, running: Path, settings: dict[str, str], tick: Callable[[], object] | None = None
) -> str | None:
    """Executes a notebook in its place; returns None where all of it passed, else nbmake's report.

    Args:
        name: the notebook, relative to `running`.
        settings: the kernel's whole environment.
        tick: called every second until the notebook has ended.

    An exception, say of Ctrl-C, ends the kernel and every process that the notebook started.
    """
    command = [sys.executable, "-m", "pytest", "--disable-plugin-autoload", "-p", "nbmake.pytest_plugin"]
    command += ["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}", "-q", "-p", "no:cacheprovider"]
    command += ["--rootdir=.", "--noconftest", "-c", os.devnull]
    command += [f"--color={'yes' if sys.stdout.isatty() else 'no'}"]
    with tempfile.TemporaryFile() as report:
        process = subprocess.Popen(
            [*command, str(name)],
            cwd=running,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=report,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches this process alone
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(TICK if tick else None)
                if tick:
                    tick()
        finally:
            if process.poll() is None:
                _end(psutil.Process(process.pid))
                process.wait()
        report.seek(0)
        said = report.read().decode(errors="replace").strip()
    return said if process.returncode else None


def _end(process: psutil.Process) -> None:
    """Ends a process and all that it started: each is halted first, so that it starts no other meanwhile."""
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        children = process.children()
        process.kill()
        for child in children:
            _end(child)
