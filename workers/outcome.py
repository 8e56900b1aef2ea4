"""What follows from how an attempt ended: one pure table from error and attempt to outcome."""

import json
import traceback
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from dramatiq.middleware import TimeLimitExceeded

from db.fence import Cancelled, LeaseLost
from db.jobs import Claimed, Finish
from pipelines.errors import JobError, Permanent, Postponed, Snooze, Transient

RETRY_AFTER_S_MAX = 86_400.0
RECONNECT_S = 1.0
# Connection exceptions, and a server that is shutting down or starting up.
DISCONNECTED = ("08", "57P01", "57P02", "57P03")
TRACE_CHARS_MAX = 8_000
ERROR_CHARS_MAX = 2_000
RESULT_CHARS_MAX = 8_000


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """Up to `max_attempts`; waits of first_s * factor^n, at most cap_s, plus up to `jitter`."""

    max_attempts: int
    first_s: float
    factor: float = 2.0
    cap_s: float = 3600.0
    jitter: float = 0.25

    def delay_s(self, failures: int, *, luck: float) -> float:
        """The wait after the n-th failure (from 1). `luck` is in [0, 1); never early."""
        wait_s = min(self.cap_s, self.first_s * self.factor ** min(failures - 1, 64))
        return wait_s * (1 + self.jitter * luck)


@dataclass(frozen=True, slots=True)
class RetryList:
    """One wait per retry, as listed, plus up to `jitter`: one attempt more than there are waits."""

    waits_s: tuple[float, ...]
    jitter: float = 0.1

    @property
    def max_attempts(self) -> int:
        return len(self.waits_s) + 1

    def delay_s(self, failures: int, *, luck: float) -> float:
        """As RetryPlan; past the end of the list its last wait."""
        return self.waits_s[min(failures, len(self.waits_s)) - 1] * (1 + self.jitter * luck)


Plan = RetryPlan | RetryList


def decide(
    job: Claimed,
    error: BaseException | None,
    *,
    plan: Plan,
    luck: float,
    result: dict[str, Any] | None = None,
) -> Finish | None:
    """The finish of this attempt; None when it holds the job no longer and may store nothing."""
    match error:
        case None:
            return Finish(job.id, job.attempt, "completed", result=small(result))
        case LeaseLost():
            return None
        case Cancelled():
            return Finish(job.id, job.attempt, "cancelled")
        case Snooze():
            return snooze(job, error.delay_s)
        case Postponed():
            return replace(failed(job, error, "retryable", error.delay_s), spared=True)
        case Permanent():
            return failed(job, error, "discarded")
        case psycopg.OperationalError() if is_disconnection(error):
            return replace(failed(job, error, "retryable", RECONNECT_S), spared=True)
        case _ if job.attempt >= job.max_attempts:
            return failed(job, error, "discarded")
        case Transient(retry_after_s=float() | int() as asked_s):
            wait_s = min(RETRY_AFTER_S_MAX, max(asked_s, plan_wait_s(job, plan, luck)))
            return failed(job, error, "retryable", wait_s)
        case _:
            return failed(job, error, "retryable", plan_wait_s(job, plan, luck))


def is_disconnection(error: psycopg.OperationalError) -> bool:
    """Postgres went away: no fault of the job's, and nothing that it did was stored."""
    return error.sqlstate is None or error.sqlstate.startswith(DISCONNECTED)


def plan_wait_s(job: Claimed, plan: Plan, luck: float) -> float:
    return plan.delay_s(burnt_attempts(job, plan), luck=luck)


def burnt_attempts(job: Claimed, plan: Plan) -> int:
    """Attempts that counted: those that were spared have raised max_attempts instead."""
    return max(1, plan.max_attempts - (job.max_attempts - job.attempt))


def hand_back(job: Claimed) -> Finish:
    """Give the job up unharmed, for another process to run: burns no attempt."""
    return Finish(job.id, job.attempt, "available", spared=True)


def snooze(job: Claimed, delay_s: float) -> Finish:
    """Look again later: burns no attempt."""
    return Finish(job.id, job.attempt, "scheduled", delay_s, spared=True)


def small(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A result that a row may carry: longer ones are named and left out."""
    if result is None:
        return None
    text = json.dumps(result, default=str)
    if len(text) > RESULT_CHARS_MAX:
        return {"omitted": f"the result is {len(text)} characters, limit {RESULT_CHARS_MAX}"}
    kept: dict[str, Any] = json.loads(clean(text).replace("\\u0000", "\\ufffd"))
    return kept


def failed(job: Claimed, error: BaseException, state: str, delay_s: float = 0.0) -> Finish:
    return Finish(job.id, job.attempt, state, delay_s, describe(job.attempt, error))


def describe(attempt: int, error: BaseException) -> dict[str, Any]:
    """An entry of the job's error list. A JobError speaks to the customer, a bug does not."""
    trace = "".join(traceback.format_exception(error))
    return {
        "attempt": attempt,
        "error": clean(name_error(error))[:ERROR_CHARS_MAX],
        "trace": clean(trace)[-TRACE_CHARS_MAX:],
    }


def name_error(error: BaseException) -> str:
    match error:
        case JobError():
            return str(error)
        case TimeLimitExceeded():
            return "The job ran longer than its time limit."
        case _:
            return f"Internal error ({type(error).__name__}): {error}"


def clean(text: str) -> str:
    """What Postgres can store: no NUL, no lone surrogate."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
