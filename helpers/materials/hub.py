"""The one way from the Hugging Face Hub to a folder: pinned files, fetched with patience, verified."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # httpx or httpx2, depending on the library's version

from helpers.materials.cache import sha256

TRIES = 4
"""How often a file is asked for, beyond what the library itself repeats."""
LONGEST_WAIT = 300.0
"""Seconds: the Hub counts requests in windows of 5 minutes (https://huggingface.co/docs/hub/rate-limits)."""
FAILURES = (OSError, RuntimeError, httpx.HTTPError)
"""What `hf_hub_download` raises when a file cannot be had (hf_xet's errors are RuntimeErrors)."""


class HubError(RuntimeError):
    """The Hub was not reached, refused, or delivered a file that is not the pinned one."""


def fetch(
    repository: str,
    revision: str,
    files: Sequence[str],
    *,
    checksums: Mapping[str, str],
    megabytes: int,
    sleep: Callable[[float], object] = time.sleep,
) -> Path:
    """The folder of the Hub's cache that holds `files` of a repository at a commit.

    A file that is in the cache costs no request: a filled cache works offline. Half a file never gets
    the name of a whole one. The library itself asks again after a 429 (waiting for as long as
    `Retry-After` says), while it looks a file up, and where a download breaks off, from the last block
    that it has. What it leaves is repeated here after 1, 2 and 4 seconds, or after `Retry-After`: a 5xx
    instead of the file, a reset connection, a file that ends early. Other answers are final.

    Args:
        revision: a commit, 40 digits.
        checksums: the SHA-256 of those files that are verified. One that differs is dropped from the
            cache and fetched once more.
        megabytes: about how large the files are together, for the message.
        sleep: waits for so many seconds.

    Raises:
        HubError: a file could not be had, or was a wrong one twice; the message says what was wanted,
            from where, and what helps.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    wanted = f"{repository} at revision {revision} ({', '.join(files)}; about {megabytes} MB) from {endpoint}"
    store = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    without = (
        "Without the Hub: set COURSE_WEIGHTS=packaged and restart, to use the weights that come with pip; or "
        f"copy {store.name} from the cache of a machine that has it to {store} (HF_HOME moves the cache)."
    )

    def download(file: str) -> Path:
        return Path(hf_hub_download(repository, file, revision=revision, endpoint=endpoint))

    path = store
    for file in files:
        try:
            path = _with_retries(download, file, sleep)
            if file in checksums and sha256(path) != checksums[file]:
                _drop(path)
                path = _with_retries(download, file, sleep)
        except FAILURES as error:
            raise HubError(f"Could not fetch {wanted}. {_explained(error)} {without}") from error
        if file in checksums and (found := sha256(path)) != checksums[file]:
            _drop(path)
            raise HubError(
                f"Fetched {wanted}, but {file} has SHA-256 {found} instead of {checksums[file]}, twice: it "
                f"was altered on the way or at its source, and was removed from the cache. {without}"
            )
    return path.parent


def _with_retries(download: Callable[[str], Path], file: str, sleep: Callable[[float], object]) -> Path:
    for tried in range(1, TRIES):
        try:
            return download(file)
        except FAILURES as error:
            if not _may_pass(error):
                raise
            sleep(min(LONGEST_WAIT, max(2.0 ** (tried - 1), _retry_after(error))))
    return download(file)


def _may_pass(error: Exception) -> bool:
    """Whether to ask again: not after what the library has repeated itself, and not after a refusal.

    An OSError with a number is this machine's, say a full disk; one without is the library's word for a
    file that ended early. A RecursionError ends the calls with which the library goes on after each break.
    """
    if isinstance(error, LocalEntryNotFoundError | RecursionError):
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return error.errno is None
    return True


def _retry_after(error: Exception) -> float:
    response = getattr(error, "response", None)
    seconds = "" if response is None else response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdigit() else 0.0


def _drop(path: Path) -> None:
    """Removes a file of the cache: the link in the snapshot, and the file that it leads to."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink(missing_ok=True)
        path = target
    path.unlink(missing_ok=True)


def _explained(error: Exception) -> str:
    """What went wrong and what to do about it."""
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) and error.__cause__ else error
    response = getattr(cause, "response", None)
    status = None if response is None else response.status_code
    if isinstance(cause, OfflineModeIsEnabled):
        return (
            f"HF_HUB_OFFLINE is set, and {constants.HF_HUB_CACHE} does not hold all of it. "
            "Unset HF_HUB_OFFLINE to download."
        )
    if status in (401, 403):
        return (
            f"The answer was {status}: no entry. A saved token may have expired: unset HF_TOKEN, "
            "or run `hf auth logout`."
        )
    if status == 404:
        return (
            "The answer was 404: no such repository, revision or file. "
            "If HF_ENDPOINT is set, its mirror may lack it."
        )
    if status is not None:
        return f"The answer was {status}, also when asked again. Wait some minutes and run this again."
    return (
        f"{type(cause).__name__}: {' '.join(str(cause).split())}. Check the connection, the space on the "
        "disk, and HF_ENDPOINT if it is set; then run this again."
    )
