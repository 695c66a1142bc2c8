"""Brings the weights and the reviews and proves them: `python -m book.materials`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.checkpoints import CHECKPOINTS, CheckpointError, checkpoint_folder
from helpers.reviews import ReviewsError, fetch_reviews

ROOT = Path(__file__).resolve().parent.parent
ROLE = "minilm"


def locked(package: str, lock: str) -> str:
    """The lines of the lock that pin `package`, with its hashes.

    Raises:
        ValueError: the lock does not name the package.
    """
    for block in lock.replace("\\\n", "").splitlines():
        if block.startswith(f"{package} ") or block.startswith(f"{package}=="):
            return block
    raise ValueError(f"{package} is not in requirements.txt. Run: make lock")


def repair_weights() -> None:
    """Installs the package with the weights again, from the lock and by its hash."""
    package = CHECKPOINTS[ROLE].package.partition("==")[0]
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(locked(package, (ROOT / "requirements.txt").read_text()) + "\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"]
        subprocess.run([*command, "--require-hashes", "-r", str(requirements)], check=True)


def main() -> int:
    try:
        try:
            weights = checkpoint_folder(ROLE)
        except CheckpointError as error:
            print(f"   {error}\n   installing it again", file=sys.stderr)
            repair_weights()
            weights = checkpoint_folder(ROLE)
        reviews = fetch_reviews()
    except (CheckpointError, ReviewsError, subprocess.CalledProcessError) as error:
        print(f"   {error}", file=sys.stderr)
        return 1
    for path in (weights / "model.safetensors", reviews):
        print(f"   {path.name}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 as pinned")
    return 0


if __name__ == "__main__":
    sys.exit(main())
