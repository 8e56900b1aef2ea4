"""Which answers a waiting job gets, and which of them decides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.lanes import Limit, Pause
from db.waiting import Blocker, Hold
from workers.dashboard.waiting import (
    Ahead,
    Facts,
    LaneFacts,
    Queue,
    TenantFacts,
    Waiter,
    explain,
)

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
TENANT = UUID(int=7)
LATER = NOW + timedelta(minutes=5)
WAITER = Waiter(
    id=9,
    kind="probe",
    queue="default",
    lane="probe",
    tenant=TENANT,
    priority=0,
    state="available",
    run_at=NOW,
    blocked=False,
    attempt=0,
    dispatched_at=None,
)
OPEN = Facts(NOW, WAITER, queue=Queue(threads=8, in_flight_max=24))
FULL = Queue(threads=8, running=8, in_flight=24, in_flight_max=24)


def pause(scope: str) -> Pause:
    return Pause(scope, "it", "too <b>hot</b>", NOW, "ada")


def waits(**changes: Any) -> Waiter:
    return replace(WAITER, **changes)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, ["next"]),
        ({"dispatchers": 0}, ["no_dispatcher"]),
        ({"silent_s": 13.0}, ["silent_dispatcher"]),
        ({"job": waits(unknown="kind")}, ["unknown_kind"]),
        ({"job": waits(unknown="queue"), "queue": Queue()}, ["unknown_queue"]),
        (
            {"job": waits(unknown="kind", state="scheduled", run_at=LATER)},
            ["unknown_kind", "scheduled"],
        ),
        ({"redis": "refused"}, ["redis"]),
        ({"queue": Queue()}, ["no_worker"]),
        ({"pauses": (pause("queue"), pause("kind"))}, ["paused_queue", "paused_kind"]),
        ({"pauses": (pause("tenant"),)}, ["paused_tenant"]),
        ({"lane": LaneFacts(hold=Hold(0, LATER, "429"))}, ["held"]),
        ({"lane": LaneFacts(hold=Hold(2, None, None), in_flight=1)}, ["next"]),
        ({"lane": LaneFacts(hold=Hold(2, None, None), in_flight=2)}, ["held"]),
        ({"lane": LaneFacts(Limit(cap=2), in_flight=2)}, ["capped"]),
        ({"lane": LaneFacts(Limit(cap=2), in_flight=1)}, ["next"]),
        ({"lane": LaneFacts(Limit(rate_per_s=4, burst=3), tokens=0.5)}, ["rate"]),
        ({"lane": LaneFacts(Limit(rate_per_s=4, burst=3), tokens=1.0)}, ["next"]),
        ({"lane": LaneFacts(shared=0.0)}, ["slots_shared"]),
        ({"tenant": TenantFacts(4, 4)}, ["tenant_full"]),
        ({"tenant": TenantFacts(3, 4)}, ["next"]),
        ({"queue": FULL}, ["full"]),
        ({"queue": FULL, "ahead": Ahead(3, 2, 1)}, ["full", "priority", "lane", "turns"]),
        ({"ahead": Ahead(better=24)}, ["priority"]),
        ({"ahead": Ahead(better=23)}, ["next"]),
        ({"ahead": Ahead(10, 10, 4)}, ["priority", "lane", "turns"]),
        ({"job": waits(state="scheduled", run_at=LATER)}, ["scheduled"]),
        ({"job": waits(state="retryable", run_at=LATER, attempt=1)}, ["backoff"]),
        ({"job": waits(state="scheduled")}, ["due"]),
        (
            {"job": waits(state="scheduled", run_at=LATER), "pauses": (pause("kind"),)},
            ["scheduled", "paused_kind"],
        ),
        (
            {"job": waits(state="scheduled", blocked=True), "blockers_open": 1},
            ["blocked"],
        ),
        ({"job": waits(state="dispatched", dispatched_at=NOW)}, ["unclaimed"]),
        ({"job": waits(state="dispatched"), "queue": FULL}, ["busy"]),
        ({"job": waits(state="dispatched", is_alone=True)}, ["alone"]),
        ({"job": waits(state="dispatched"), "queue": Queue()}, ["no_worker", "unclaimed"]),
        ({"job": waits(state="running")}, []),
        ({"job": waits(state="discarded")}, []),
    ],
)
def test_each_obstacle_is_named(changes: dict[str, Any], keys: list[str]) -> None:
    answers = explain(replace(OPEN, **changes))

    assert [answer.key for answer in answers] == keys


def test_what_stops_everything_comes_before_what_stops_one() -> None:
    facts = replace(
        OPEN,
        dispatchers=0,
        redis="refused",
        queue=replace(FULL, threads=8),
        pauses=(pause("queue"),),
        lane=LaneFacts(Limit(cap=1, rate_per_s=1), Hold(0, None, "x"), 1, 0.0),
        ahead=Ahead(1, 1, 1),
    )

    assert [answer.key for answer in explain(facts)] == [
        "no_dispatcher", "redis", "paused_queue", "held", "capped", "rate", "full", "priority",
        "lane", "turns",
    ]  # fmt: skip


def test_a_pause_says_who_and_why() -> None:
    (answer,) = explain(replace(OPEN, pauses=(pause("queue"),)))

    assert answer.detail == "Since 2026-11-23 14:00 UTC by ada: too <b>hot</b>."


def test_backoff_says_after_what_and_until_when() -> None:
    job = waits(state="retryable", run_at=LATER, attempt=2, error="status 503")

    (answer,) = explain(replace(OPEN, job=job))

    assert (answer.detail, answer.until_at) == ("Attempt 2 failed: status 503.", LATER)
    assert answer.title == "It rests 5 min more before it is tried again"


def test_an_empty_bucket_says_when_the_next_token_comes() -> None:
    lane = LaneFacts(Limit(rate_per_s=4, burst=3), tokens=0.0)

    (answer,) = explain(replace(OPEN, lane=lane))

    assert answer.detail == "Its bucket is empty; the next token comes in 250 ms."


def test_a_limit_says_who_of_its_lane_goes_first() -> None:
    lane = LaneFacts(Limit(cap=2), in_flight=2)

    (answer,) = explain(replace(OPEN, lane=lane, ahead=Ahead(own_lane=5)))

    assert answer.detail == "One of them must end first. 5 jobs go of it before this one."


def test_blockers_are_named_and_linked() -> None:
    job = waits(state="scheduled", blocked=True)
    blockers = (Blocker(3, "probe", "running"),)

    (answer,) = explain(replace(OPEN, job=job, blockers=blockers, blockers_open=38))

    assert answer.title == "It waits for 38 unfinished jobs"
    assert answer.links == (("3", "/jobs/3"),)
