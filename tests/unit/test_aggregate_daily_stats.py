"""How long one job goes on taking marks."""

from collections.abc import Iterator

from pipelines.aggregate_daily_stats import Served, repeat

SOME = Served(marks=10, pairs=3, changed=2)
NONE = Served(marks=0, pairs=0, changed=0)


def test_marks_are_served_until_there_are_none() -> None:
    served: Iterator[Served] = iter([SOME, SOME, NONE, SOME])

    total, complete = repeat(lambda: next(served), until=1.0, clock=lambda: 0.0)

    assert (total, complete) == (Served(20, 6, 4), True)
    assert next(served) == SOME


def test_one_job_ends_when_it_is_late_although_marks_come_all_the_time() -> None:
    times = iter([0.0, 0.5, 1.0])

    total, complete = repeat(lambda: SOME, until=1.0, clock=lambda: next(times))

    assert (total, complete) == (Served(30, 9, 6), False)
