"""What a job may say of its failure: the queue has two answers, so there are two branches."""


class JobError(Exception):
    """A failure whose message is meant for the row the user sees."""


class Permanent(JobError):
    """Retrying cannot help: gone, forbidden, malformed, too large."""


class Transient(JobError):
    """Retrying may help: busy, timed out, rate limited."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
