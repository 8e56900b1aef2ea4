"""The stream that keeps pages fresh: who may listen, what it tells, and when it ends."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from db import badges
from db.badges import COUNT_MAX, Badges
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from workers.dashboard import live


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


class Watched:
    """Stands for a site: knows its visitor for so many questions."""

    def __init__(self, times: int) -> None:
        self._times = times

    def knows(self, request: object, *, away: bool) -> bool:
        assert away, "the stream ends while Postgres is away"
        self._times -= 1
        return self._times >= 0


class StillBoard:
    def read(self) -> dict[str, dict[str, str]]:
        return {"/errors": {"text": "3 new", "level": "bad"}}


def listen(site: Watched, monkeypatch: pytest.MonkeyPatch, *, most: int) -> list[str]:
    """What is told until the stream ends, or `most` of it."""
    monkeypatch.setattr(live, "BEAT_S", 0.0)
    watchers: set[object] = set()

    async def gather() -> list[str]:
        told = []
        stream = live.beats(None, site, StillBoard(), watchers)  # type: ignore[arg-type]
        async for event in stream:
            told.append(event)
            if len(told) == most:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return told

    told = asyncio.run(gather())
    assert watchers == set(), "a window that closed is still counted"
    return told


def test_nobody_listens_who_is_not_logged_in(desk: Desk) -> None:
    assert desk.browser(None).status("/live") == 401


def test_a_beat_tells_the_time_and_what_the_bar_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    (event,) = listen(Watched(1), monkeypatch, most=1)

    name, data, *end = event.split("\n")
    assert (name, end) == ("event: beat", ["", ""])
    told = json.loads(data.removeprefix("data: "))
    assert told["badges"] == {"/errors": {"text": "3 new", "level": "bad"}}
    assert len(told["clock"]) == len("12:34:56")


def test_nothing_is_told_after_the_session_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told = listen(Watched(2), monkeypatch, most=1_000)

    assert len(told) == 2


def test_badges_count_and_stop_counting(conn: Connection, desk: Desk) -> None:
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at)"
        " SELECT 'probe', 'default', 'discarded', 1,"
        " now() - CASE WHEN n > 150 THEN interval '2 hours' ELSE interval '0' END"
        " FROM generate_series(1, 160) AS n"
    )
    conn.execute("INSERT INTO worker.pauses (scope, name) VALUES ('queue', 'email')")

    found = badges.count(conn)

    assert found.discards == COUNT_MAX + 1
    assert found.paused_queues == 1
    shown = live.label(found)
    assert shown["/errors"] == {"text": "99+ new", "level": "bad"}
    assert shown["/queues"] == {"text": "1 paused", "level": "warn"}
    assert live.label(Badges(0, 0, 0, 0, 0, 0)) == {}
