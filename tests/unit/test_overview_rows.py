"""What a queue's row says, from figures: its worst trouble, rates by the minute, its order."""

from datetime import UTC, datetime, timedelta

import pytest

from db.history import Finished, Window
from db.lanes import Pause
from db.metrics import Depth
from workers.dashboard.overview_rows import (
    DONE,
    FAILED,
    QueueRow,
    build_rows,
    judge,
    rates,
    slots_of,
)
from workers.dashboard.percentiles import Percentiles, estimate_all
from workers.dashboard.ruler import place, row
from workers.metrics import DISPATCH_LAG

START = datetime(2026, 11, 23, 13, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=59), 2)


def build(*depths: Depth, pauses: list[Pause] | None = None) -> list[QueueRow]:
    return build_rows(
        depths,
        slots={"default": (8, 1), "email": (4, 1), "knowledge": (5, 1), "webhooks": (1024, 1)},
        running={"default": 3},
        pauses=pauses or [],
        waits={},
        runs={},
        finished=[],
        window=WINDOW,
    )


def test_rates_are_recomputed_from_raw_attempts() -> None:
    finished = [
        Finished(START, "probe", "completed", 10),
        Finished(START, "prune", "completed", 4),
        Finished(START, "probe", "retryable", 3),
        Finished(START, "probe", "snoozed", 50),
        Finished(START, "send_email", "discarded", 2),
        Finished(START, "gone_kind", "completed", 99),
        Finished(START + timedelta(minutes=58), "probe", "completed", 7),
    ]

    done, failed = rates(finished, DONE, WINDOW), rates(finished, FAILED, WINDOW)

    # The last slot has one full minute by now.
    assert slots_of(WINDOW) == 30
    assert done["default"] == [7.0] + [0.0] * 28 + [7.0]
    assert failed["default"][0] == 1.5
    assert failed["email"][0] == 1.0
    assert set(done) == {"default"}


def test_the_queue_furthest_over_its_target_comes_first() -> None:
    rows = build(
        Depth("default", "probe", "available", 5, 30.0),
        Depth("email", "send_email", "available", 1, 360.0),
        Depth("knowledge", "index_source", "available", 1, 400.0),
    )

    assert [each.queue for each in rows[:3]] == ["email", "knowledge", "default"]
    assert [each.level for each in rows[:3]] == ["warn", "", ""]
    assert rows[0].over == 3


def test_a_queue_that_no_worker_takes_is_worse_than_a_late_one() -> None:
    rows = build(
        Depth("email", "send_email", "available", 1, 200.0),
        Depth("sentiment", "analyze_sentiment", "available", 9, 5.0),
    )

    assert [(each.queue, each.word) for each in rows[:2]] == [
        ("sentiment", "no worker"),
        ("email", "late"),
    ]


def test_depth_is_summed_over_kinds_and_the_oldest_of_all_is_shown() -> None:
    (first, *_) = build(
        Depth("default", "probe", "available", 5, 3.0),
        Depth("default", "prune", "available", 2, 9.0),
        Depth("default", "prune", "running", 1, None),
        Depth("default", "prune", "discarded", 7, None),
    )

    assert first.queue == "default"
    assert first.oldest_s == 9.0
    assert first.depth == {
        "scheduled": 0, "available": 7, "dispatched": 0, "running": 1, "retryable": 0,
    }  # fmt: skip
    assert (first.busy, first.slots) == (3, 8)


def test_jobs_of_a_queue_that_no_kind_has_any_more_are_shown() -> None:
    rows = build(Depth("forgotten", "old", "available", 5, 3.0))

    assert "forgotten" in [each.queue for each in rows]


@pytest.mark.parametrize(
    ("scope", "name", "word"),
    [
        ("queue", "default", "paused"),
        ("kind", "probe", "1 kind paused"),
        ("tenant", "x", "waiting"),
    ],
)
def test_a_pause_is_said_on_its_queue(scope: str, name: str, word: str) -> None:
    pause = Pause(scope, name, "why", START)

    state = judge("default", depth={"available": 1}, over=0.1, slots=4, pauses=[pause])

    assert state.word == word


def test_the_ruler_is_logarithmic_and_nothing_leaves_it() -> None:
    waits = estimate_all({"+Inf": 3}, DISPATCH_LAG.bounds)

    drawn = row("default", waits=waits, oldest_s=10**9, target_s=60)

    assert place(60) - place(6) == pytest.approx(place(600) - place(60))
    assert place(10**9) == 1
    assert place(0) == 0
    assert 'cx="100%"' in drawn
    assert "p50 over 1 d" in drawn


def test_a_queue_without_history_has_a_ruler_without_a_line() -> None:
    drawn = row("default", waits=Percentiles(None, None, None), oldest_s=None, target_s=60)

    assert "nothing was sent; nothing waits; target 1 min" in drawn
    assert "<circle" not in drawn
