"""The one error of the embedded servers."""


class EmbeddedError(Exception):
    """An embedded server cannot run: the message says what, which and what to do."""
