"""The second half of each notebook's first cell: it brings what this Python lacks, and says what it does."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from packaging.requirements import Requirement

from helpers.install.packages import (
    KEPT,
    SetUpError,
    install_missing,
    listed,
    loaded_before,
    missing_requirements,
    size,
    stale_modules,
    version,
    versions,
)

RESTART = "restart the kernel (Colab: Runtime > Restart session), then run this cell again"


def set_up(install: bool | None = None) -> None:
    """Checks every version against the course's bounds, installs what is missing, and says what it did.

    `COURSE_WHEELS` names a folder of wheels for a room without internet: pip then asks nobody else.

    Args:
        install: whether to install. None: in Colab yes, elsewhere the message of the error says how.

    Raises:
        SetUpError: something is missing and is not to be installed, pip failed, torch is missing or too
            old, or the kernel must be restarted.
    """
    _use_wheels()
    missing = missing_requirements()
    if missing:
        _refuse_other_torch(missing)
        if not (install or (install is None and in_colab())):
            raise SetUpError(
                f"{sys.executable} lacks {listed(missing)}. To install that here (about {size(missing)} MB "
                "to fetch), run: set_up(install=True)"
            )
        print(f"Installing {listed(missing)}: about {size(missing)} MB to fetch.")
        print(f"Left as they are: {versions(*KEPT)}.", flush=True)
        done = install_missing(missing)
        print(done)
        if loaded := loaded_before(done):
            raise SetUpError(f"This kernel had loaded the old {', '.join(loaded)}: {RESTART}.")
        print("No restart is needed.")
    elif stale := stale_modules():
        raise SetUpError(f"This kernel still uses the old {', '.join(stale)}: {RESTART}.")
    else:
        print(f"Nothing is missing: {versions('transformers', *KEPT)}.")
    if shutil.which("nvidia-smi") and "COURSE_PROFILE" not in os.environ:
        print("This machine has a GPU. To use it, restart and run before this cell: %env COURSE_PROFILE=gpu")


def in_colab() -> bool:
    return "google.colab" in sys.modules


def _use_wheels() -> None:
    """Directs every pip of this kernel to the folder of wheels, if there is one."""
    if not (named := os.environ.get("COURSE_WHEELS")):
        return
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        raise SetUpError(f"COURSE_WHEELS={named!r} is not a folder. Name the folder that holds the wheels.")
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=folder.as_uri())


def _refuse_other_torch(missing: list[Requirement]) -> None:
    for requirement in missing:
        found = version(requirement.name)
        if requirement.name == "torch" or (requirement.name in KEPT and found):
            raise SetUpError(
                f"The course needs {requirement}; here is {found or 'none'}. It depends on the machine, so this "
                "cell never installs it: in Colab choose the newest runtime (Runtime > Change runtime type), "
                "elsewhere install it as pytorch.org describes (the CPU build is enough). Then run this again."
            )
