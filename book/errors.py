"""What stops the building of the book."""

from __future__ import annotations


class PublishError(ValueError):
    """A chapter that cannot be published; the message names the chapter, the cell and the cure."""
