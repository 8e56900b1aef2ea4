"""What an action would do, before it does anything."""

from dataclasses import replace
from itertools import chain
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.bulk import Judged
from workers.dashboard.bulk import (
    ACTIONS,
    BULK_MAX,
    PART_MAX,
    pack,
    parts_of,
    plan_delays,
    preview,
    unpack,
)

JOB = Judged(
    state="discarded", queue="default", kind="probe", blocked=False, waited=False, unfit=False,
    twin=False, later=False, ids=[7], tenants=[str(uuid4())],
)  # fmt: skip
CHANGES = {
    "retry": {"scheduled", "retryable", "completed", "discarded", "cancelled"},
    "cancel": {"scheduled", "available", "dispatched", "running", "retryable"},
    "discard": {"scheduled", "available", "dispatched", "retryable"},
    "replay": {"completed", "discarded", "cancelled"},
    "priority": {"scheduled", "available", "dispatched", "retryable"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_action_changes_the_states_that_it_is_for(name: str) -> None:
    states = CHANGES["cancel"] | CHANGES["retry"]

    changed = {s for s in states if preview(ACTIONS[name], [replace(JOB, state=s)]).ids}

    assert changed == CHANGES[name]


@pytest.mark.parametrize("name", ["retry", "replay"])
@pytest.mark.parametrize("trouble", ["twin", "later", "unfit"])
def test_an_equal_job_or_a_lost_kind_is_skipped_with_its_reason(name: str, trouble: str) -> None:
    jobs = [JOB, replace(JOB, ids=[8], **{trouble: True})]  # type: ignore[arg-type]

    found = preview(ACTIONS[name], jobs)

    assert found.ids == (7,)
    assert sum(found.skipped.values()) == 1


def test_what_waits_for_other_jobs_is_not_retried() -> None:
    assert not preview(ACTIONS["retry"], [replace(JOB, state="scheduled", blocked=True)]).ids


@given(st.sets(st.integers(1, 2**62), max_size=200))
def test_ids_travel_unchanged(ids: set[int]) -> None:
    assert unpack(pack(sorted(ids))) == sorted(ids, reverse=True)


@pytest.mark.parametrize("text", ["a", "1..2", "5.6", "-1", "3.0", "9" * 20, "5,4", " 5"])
def test_a_damaged_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack(text)


def test_more_jobs_than_the_cap_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        unpack(pack(range(1, BULK_MAX + 2)))


def test_parts_begin_with_the_newest_and_miss_nothing() -> None:
    parts = parts_of(range(1, 2 * PART_MAX + 2))

    assert [len(part) for part in parts] == [PART_MAX, PART_MAX, 1]
    assert list(chain(*parts)) == list(range(2 * PART_MAX + 1, 0, -1))


def test_a_pace_lets_the_oldest_begin_first() -> None:
    assert plan_delays([9, 3, 5], 30) == {3: 0.0, 5: 2.0, 9: 4.0}
    assert set(plan_delays([9, 3], 0).values()) == {0.0}
