"""What the page of a job makes of its row and its traces."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.job_page import JobRow
from workers.dashboard import plain, timeline
from workers.dashboard.tries import list_tries, sum_up

BEGAN = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


ROW = JobRow(
    id=7,
    kind="probe",
    queue="default",
    lane="probe",
    tenant=None,
    priority=0,
    state="running",
    unique_key=None,
    limit_key=None,
    run_at=at(100),
    attempt=2,
    max_attempts=3,
    blocked=False,
    awaited=False,
    rerun=False,
    suspicion=0,
    even_if_failed=False,
    worker_id=None,
    cancel_requested_at=None,
    created_at=BEGAN,
    dispatched_at=at(104),
    started_at=at(105),
    finished_at=None,
    error_group=None,
    now=at(125),
    args={},
    args_chars=2,
    result=None,
    result_chars=0,
    progress=None,
    waits=False,
    errors=[],
)


def entry(attempt: int, start: float, end: float) -> dict[str, Any]:
    return {
        "attempt": attempt,
        "started_at": at(start).isoformat(),
        "at": at(end).isoformat(),
        "error": "status 503",
        "worker_id": "w",
    }


def test_times_that_were_not_kept_are_not_made_up() -> None:
    first, second = list_tries(replace(ROW, errors=[entry(1, 10, 40)]))

    assert (first.due_at, first.dispatched_at, first.started_at, first.ended_at) == (
        BEGAN, None, at(10), at(40),
    )  # fmt: skip
    assert (second.due_at, second.dispatched_at, second.ended_at) == (at(100), at(104), None)


def test_all_of_a_jobs_time_is_accounted_for() -> None:
    row = replace(ROW, errors=[entry(1, 10, 40)])

    sums = sum_up(row, list_tries(row))

    assert (sums.ran_s, sums.waited_s, sums.between_s) == (50, 15, 60)
    assert sums.age_s == 125


def test_an_attempt_that_was_given_back_has_no_end() -> None:
    (given_back,) = list_tries(replace(ROW, state="available"))

    assert (given_back.word, given_back.ended_at) == ("given back", None)


def test_what_an_operator_noted_is_no_attempt() -> None:
    note = {"attempt": 1, "at": at(50).isoformat(), "error": "Cancelled by an operator: x"}

    tries = list_tries(replace(ROW, state="cancelled", errors=[entry(1, 10, 40), note], attempt=1))

    assert [each.word for each in tries] == ["cancelled"]


@pytest.mark.parametrize("text", ["", "soon", None, "2026-11-23"])
def test_an_entry_with_times_that_are_none_is_drawn_without_them(text: str | None) -> None:
    row = replace(ROW, errors=[entry(1, 10, 40) | {"at": text}])

    assert list_tries(row)[0].ended_at is None
    assert timeline.draw(row, list_tries(row)) is not None


def test_a_row_of_which_nothing_is_known_is_not_drawn() -> None:
    row = replace(ROW, started_at=None, state="completed")

    assert timeline.draw(row, list_tries(row)) is None


def test_markup_in_an_error_is_text_in_the_drawing() -> None:
    row = replace(ROW, errors=[entry(1, 10, 40) | {"error": "<script>x</script>"}])

    assert "<script>" not in str(timeline.draw(row, list_tries(row)))


def test_escapes_of_terminals_and_marks_of_direction_are_taken_out() -> None:
    assert plain.lines("\x1b[31mred\x1b[0m \u202eevil\x00\n\tend") == "red evil\n    end"


def test_a_trace_of_a_million_frames_is_cut() -> None:
    trace = '  File "/a/workers/x.py", line 1, in f\n    call()\n' * 100_000

    parts = plain.fold(trace)

    assert sum(part.kind == "own" for part in parts) <= 2 * plain.TRACE_FRAMES_MAX
    assert len(plain.lines("x" * 1_000_000)) <= plain.TEXT_CHARS_MAX + 1
