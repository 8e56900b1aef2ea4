"""The table from how an attempt ended to what follows."""

from dataclasses import replace

import psycopg
import pytest
from dramatiq.middleware import TimeLimitExceeded

from db.fence import Cancelled, LeaseLost
from db.jobs import Claimed
from pipelines.errors import Permanent, Postponed, Snooze, Transient
from workers.outcome import RESULT_CHARS_MAX, RetryList, RetryPlan, clean, decide, hand_back, small

PLAN = RetryPlan(3, first_s=10, factor=2, cap_s=100, jitter=0.5)
JOB = Claimed(1, "probe", "default", None, {}, attempt=1, max_attempts=3)


@pytest.mark.parametrize(
    ("error", "attempt", "state", "delay_s"),
    [
        (None, 1, "completed", 0),
        (Permanent("gone"), 1, "discarded", 0),
        (Transient("busy"), 1, "retryable", 10),
        (Transient("busy"), 2, "retryable", 20),
        (Transient("busy"), 3, "discarded", 0),
        (Transient("busy", retry_after_s=50), 1, "retryable", 50),
        (Transient("busy", retry_after_s=1), 1, "retryable", 10),
        (Transient("busy", retry_after_s=1e99), 1, "retryable", 86_400),
        (KeyError("bug"), 1, "retryable", 10),
        (KeyError("bug"), 3, "discarded", 0),
        (TimeLimitExceeded(), 1, "retryable", 10),
        (Snooze(30), 1, "scheduled", 30),
        (Snooze(30), 3, "scheduled", 30),
        (Cancelled("job 1"), 1, "cancelled", 0),
        (Postponed("refused", delay_s=7.5), 1, "retryable", 7.5),
        (Postponed("refused", delay_s=86_400.5), 3, "retryable", 86_400.5),
    ],
)
def test_an_attempt_ends_as_the_table_says(
    error: BaseException | None, attempt: int, state: str, delay_s: float
) -> None:
    finish = decide(replace(JOB, attempt=attempt), error, plan=PLAN, luck=0)

    assert finish is not None
    assert (finish.state, finish.delay_s) == (state, delay_s)


def test_a_lost_lease_stores_nothing() -> None:
    assert decide(JOB, LeaseLost("gone"), plan=PLAN, luck=0) is None


def test_jitter_never_makes_a_retry_early() -> None:
    waits = [PLAN.delay_s(1, luck=luck / 10) for luck in range(10)]

    assert min(waits) == 10
    assert max(waits) < 15


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("server closed"), psycopg.errors.AdminShutdown("bye")]
)
def test_a_database_that_went_away_burns_no_attempt(error: Exception) -> None:
    finish = decide(replace(JOB, attempt=3), error, plan=PLAN, luck=0)

    assert finish is not None
    assert (finish.state, finish.spared) == ("retryable", True)


def test_a_query_that_was_cancelled_counts() -> None:
    finish = decide(
        replace(JOB, attempt=3), psycopg.errors.QueryCanceled("slow"), plan=PLAN, luck=0
    )

    assert finish is not None
    assert (finish.state, finish.spared) == ("discarded", False)


def test_waits_grow_up_to_the_cap() -> None:
    assert [PLAN.delay_s(n, luck=0) for n in (1, 2, 3, 4, 5, 1000)] == [10, 20, 40, 80, 100, 100]


def test_spared_attempts_do_not_lengthen_the_wait() -> None:
    spared_twice = replace(JOB, attempt=3, max_attempts=5)

    finish = decide(spared_twice, Transient("busy"), plan=PLAN, luck=0)

    assert finish is not None
    assert finish.delay_s == 10


def test_a_bug_is_not_shown_as_a_message_for_customers() -> None:
    finish = decide(JOB, KeyError("user_id"), plan=PLAN, luck=0)

    assert finish is not None
    assert finish.error is not None
    assert finish.error["error"] == "Internal error (KeyError): 'user_id'"


def test_a_job_handed_back_is_spared() -> None:
    finish = hand_back(JOB)

    assert (finish.state, finish.spared, finish.error) == ("available", True, None)


def test_an_error_is_cleaned_to_what_postgres_stores() -> None:
    assert clean("a\0b\ud800c") == "a\ufffdb?c"


def test_a_snoozed_job_is_spared() -> None:
    finish = decide(JOB, Snooze(5), plan=PLAN, luck=0)

    assert finish is not None
    assert (finish.spared, finish.error) == (True, None)


def test_listed_waits_are_taken_in_turn_and_never_early() -> None:
    plan = RetryList((5, 300, 1800), jitter=0.1)

    waits_s = [plan.delay_s(failures, luck=0) for failures in (1, 2, 3, 4)]

    assert (waits_s, plan.max_attempts) == ([5, 300, 1800, 1800], 4)
    assert plan.delay_s(1, luck=0.99) == pytest.approx(5.495)


def test_a_result_is_kept_with_its_job() -> None:
    finish = decide(JOB, None, plan=PLAN, luck=0, result={"added": 3, "text": "a\0b"})

    assert finish is not None
    assert finish.result == {"added": 3, "text": "a\ufffdb"}


def test_a_large_result_is_named_and_left_out() -> None:
    kept = small({"text": "x" * RESULT_CHARS_MAX})

    assert kept is not None
    assert f"limit {RESULT_CHARS_MAX}" in kept["omitted"]


def test_a_postponed_failure_is_listed_and_burns_no_attempt() -> None:
    finish = decide(
        replace(JOB, attempt=3), Postponed("503 answered", delay_s=5), plan=PLAN, luck=1
    )

    assert finish is not None
    assert finish.error is not None
    assert (finish.spared, finish.error["error"]) == (True, "503 answered")
