"""What a job may say of its failure: the queue has two answers, so there are two branches."""


class JobError(Exception):
    """A failure whose message is meant for the row the user sees."""


class Permanent(JobError):
    """Retrying cannot help: gone, forbidden, malformed, too large."""


class Misconfigured(Permanent):
    """Nothing that this job or its customer can mend: the operator of the installation has to."""


class Transient(JobError):
    """Retrying may help: busy, timed out, rate limited."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Postponed(Transient):
    """Failed, and the pipeline keeps a plan of its own: the job comes again after exactly
    `delay_s`. Burns no attempt: when the plan is at its end, the pipeline raises Permanent.
    """

    def __init__(self, message: str, *, delay_s: float) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class Snooze(Exception):
    """Not now, and no failure either: the job comes again after the wait, with every attempt."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"again in {delay_s:.1f} s")
        self.delay_s = delay_s
