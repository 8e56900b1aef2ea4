"""When a mail that could not be sent is tried again, and when it is given up."""

from pipelines.gateways.mail_failures import MailDelayed

# Soon after a hiccup, past the five minutes of greylisting, then through a night.
WAITS_S = (10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 28_800.0)
# Nobody's mail is lost over a weekend because of a wrong password or a full quota.
OPERATOR_WAIT_S = 600.0
PATIENCE_S = 72 * 3_600.0
JITTER = 0.1


def next_wait_s(
    failure: MailDelayed, *, failures: int, waited_s: float, luck: float
) -> float | None:
    """Seconds until the next attempt, never less than the provider asked; None: give up.

    `failures` are those before this one that counted, `waited_s` is since the mail was queued,
    `luck` is in [0, 1).
    """
    asked_s = failure.retry_after_s or 0.0
    if not counts(failure):
        return (
            max(asked_s, OPERATOR_WAIT_S if failure.by_operator else 1.0) * (1 + JITTER * luck)
            if waited_s < PATIENCE_S
            else None
        )
    if failures >= len(WAITS_S):
        return None
    return max(asked_s, WAITS_S[failures]) * (1 + JITTER * luck)


def counts(failure: MailDelayed) -> bool:
    """Whether it is one of the few failures that a mail is given."""
    return not (failure.by_operator or failure.limited)
