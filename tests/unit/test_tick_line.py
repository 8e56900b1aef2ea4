"""The timeline of a schedule: where its marks are and what they say."""

from datetime import UTC, datetime, timedelta

from db.schedules import Mark
from workers.dashboard.tick_line import draw, rule

NOW = datetime(2026, 3, 2, 12, 10, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
RULER = rule(NOW)


def mark(
    ago: timedelta, *, state: str | None = "completed", skipped: bool = False, by_hand: bool = False
) -> Mark:
    return Mark("s", NOW - ago, by_hand, skipped, False, None if skipped else 1, state)


def test_now_is_in_the_middle_and_the_hours_are_named() -> None:
    assert RULER.at(NOW) == 50
    assert [word for _, word in RULER.hours] == [f"{hour:02}:00" for hour in range(10, 16)]


def test_marks_lie_where_their_times_are() -> None:
    line = draw(RULER, "s", [mark(HOUR), mark(2 * HOUR, state="discarded")], [NOW + HOUR])

    assert line.ran == "M333.3 14V26"
    assert (line.failed, line.planned) == ([16.67], [66.67])
    assert line.label == "s: 1 ran, 1 failed, 0 missed, 0 made up, 1 planned"


def test_a_heap_of_missed_ticks_has_one_label() -> None:
    heap = [mark(HOUR + number * MINUTE, skipped=True) for number in range(20)]

    line = draw(RULER, "s", [*heap, mark(2.5 * HOUR, skipped=True)], [])

    assert [label.words for label in line.labels] == ["missed", "20 missed"]


def test_a_schedule_of_every_second_is_one_path() -> None:
    line = draw(RULER, "s", [], [NOW + number * MINUTE for number in range(1, 100)])

    assert (line.planned, line.later.count("M")) == ([], 99)


def test_what_is_late_is_hatched_from_when_it_was_due() -> None:
    line = draw(RULER, "s", [], [], late_s=3600)
    on_time = draw(RULER, "s", [], [], late_s=9)

    assert (line.late_from, line.late_words) == (33.33, "due 11:10")
    assert on_time.late_from is None


def test_the_next_one_behind_the_end_is_said() -> None:
    days = timedelta(days=1)

    said = [
        draw(RULER, "s", [], [], next_at=NOW + ahead).next_words
        for ahead in (20 * HOUR, 30 * days, 400 * days)
    ]

    assert said == ["next Tue 08:10", "next 01 Apr 12:10", "next 06 Apr 2027 12:10"]
    assert draw(RULER, "s", [], [], rest="paused").next_words == "paused"
