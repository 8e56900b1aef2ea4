"""When a delivery that failed is tried again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.gateways.http_failures import RETRY_AFTER_S_MAX

# A tenth at most, and only ever later: a crowd that failed together comes back spread.
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`schedule_s` is the wait before each attempt, the first one's too."""

    schedule_s: Sequence[float]
    retry_failed: bool
    max_retries: int

    @property
    def attempts_max(self) -> int:
        return min(len(self.schedule_s), 1 + self.max_retries) if self.retry_failed else 1


def next_wait_s(
    rules: RetryRules, *, attempts: int, luck: float, asked_s: float | None = None
) -> float | None:
    """The wait after the n-th attempt (from 1) failed; None when it was the last.

    `luck` is in [0, 1). `asked_s` is what the receiver asked for: it lengthens the wait.
    """
    if attempts >= rules.attempts_max:
        return None
    planned_s = rules.schedule_s[attempts] * (1 + JITTER * luck)
    return max(planned_s, min(asked_s or 0.0, RETRY_AFTER_S_MAX))
