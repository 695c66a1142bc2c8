"""The print edition: the built site as one PDF, and each page of it as a handout."""


class PrintError(RuntimeError):
    """The edition cannot be made; the message says in a sentence what is wrong and what to do."""
