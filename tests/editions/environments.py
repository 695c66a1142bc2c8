"""Environments with other versions than the lock's: Colab's, the lowest and the newest that the bounds allow.

Each is made once, under `build/editions`, and copied for each chapter by hard links: what pip replaces in a
copy stays as it was in the original. torch is that of this Python.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
COLAB = Path(__file__).with_name("colab-2026-08-19.txt")
VERSIONS = ("colab", "lowest", "newest")
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
TORCH = ("torch", "torchgen", "functorch")
KERNEL = "ipykernel"


def pins(versions: str) -> dict[str, str]:
    """The version of each package, torch left out. `lowest` and `newest` are resolved anew.

    Raises:
        ValueError: `versions` is none of VERSIONS.
        RuntimeError: the bounds of pyproject.toml cannot be met.
    """
    if versions not in VERSIONS:
        raise ValueError(f"VERSIONS={versions} is unknown. Use one of {', '.join(VERSIONS)}.")
    if versions == "colab":
        return {**parsed(COLAB.read_text(encoding="utf-8")), "setuptools": metadata.version("setuptools")}
    bounds = ["--extra", "weights", "--resolution", RESOLUTIONS[versions], "pyproject.toml"]
    direct = _resolved(bounds, "")
    lines = [f"{name}=={version}" for name, version in direct.items()]
    plain = [line for line in metadata.requires("torch") or [] if ";" not in line]
    return _resolved(["-"], "\n".join([*lines, *plain, KERNEL]))


def parsed(text: str) -> dict[str, str]:
    """Names and versions of lines `name==version`; a line may go on with hashes."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def _resolved(arguments: list[str], text: str) -> dict[str, str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", version, *arguments]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"uv found no versions within the bounds:\n{done.stderr.strip()}")
    return parsed(done.stdout)


def environment(versions: dict[str, str], folder: Path) -> Path:
    """A virtual environment under `folder` with these versions and this Python's torch; made once.

    Returns:
        The environment. Its name follows from the versions.

    Raises:
        RuntimeError: uv could not install them.
    """
    lines = [f"{name}=={version}" for name, version in sorted(versions.items())]
    key = hashlib.sha256("\n".join([sys.version, metadata.version("torch"), *lines]).encode()).hexdigest()[
        :12
    ]
    target = folder / f"environment-{key}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".environment-{key}-{os.getpid()}"
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--python", str(python_of(scratch)), "--requirement", "-"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            shutil.rmtree(scratch)
            raise RuntimeError(f"uv could not install the versions:\n{done.stderr.strip()[-2000:]}")
        _link_torch(packages_of(scratch))
        scratch.rename(target)
    return target


def _link_torch(packages: Path) -> None:
    ours = Path(sysconfig.get_paths()["purelib"])
    for path in ours.iterdir():
        if path.name in TORCH or re.fullmatch(r"torch-[^-]+\.dist-info", path.name):
            (packages / path.name).symlink_to(path)


def copy_of(environment: Path, target: Path) -> Path:
    """A copy by hard links: quick, and whole when files of it are replaced."""
    return Path(shutil.copytree(environment, target, symlinks=True, copy_function=os.link))


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def packages_of(environment: Path) -> Path:
    return next((environment / "lib").glob("python*/site-packages"))


def new_bytes(copy: Path) -> int:
    """The size of the files that a copy has for itself: what was installed into it."""
    files = [path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files if path.stat().st_nlink == 1 and path.suffix != ".pyc")
