"""The library's chatter, silenced once: progress bars of loading, load reports, tokenizer forks."""

from __future__ import annotations

import os


def quiet() -> None:
    """Keeps transformers and datasets to warnings that a learner should act on.

    Progress bars of `from_pretrained` and the report of newly initialised heads are switched off;
    errors still show.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
