"""Statements about the last minutes of all processes; see history.sql. No function commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.metrics import Depth, Sample
from db.pool import Connection
from db.statements import load

SQL = load("history")

OLDEST = "avivro_sampled_oldest_wait_seconds"
DEPTH = "avivro_sampled_jobs"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Slots of `step_min` minutes from `begins_at`; the last ends at `ends_at` or later."""

    begins_at: datetime
    ends_at: datetime
    step_min: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Attempts of a kind that ended in a slot, by how they did; see workers.ledger.outcome."""

    at: datetime
    kind: str
    outcome: str
    jobs: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Jobs of a kind in one bucket of the histogram `name`; `bound` is "+Inf" in the last."""

    name: str
    kind: str
    bound: str
    jobs: float


@dataclass(frozen=True, slots=True)
class Call:
    provider: str
    result: str
    calls: float


@dataclass(frozen=True, slots=True)
class CallTime:
    """Calls that took at most `bound` seconds, and longer than the bound before it."""

    provider: str
    bound: str
    calls: float


@dataclass(frozen=True, slots=True)
class Oldest:
    """How long the oldest job that was due had waited; 0 where none was."""

    at: datetime
    queue: str
    waited_s: float


def add_deltas(conn: Connection, deltas: Sequence[Sample]) -> None:
    """Add to the minute that it is now, by the database's clock."""
    conn.execute(SQL.add_deltas, columns(deltas))


def is_sampled(conn: Connection) -> bool:
    """Whether somebody looked at the queues in this minute."""
    row = conn.execute(SQL.is_sampled, {"name": OLDEST}).fetchone()
    assert row is not None
    return bool(row[0])


def add_samples(conn: Connection, depths: Sequence[Depth], *, queues: Sequence[str]) -> None:
    """What waits now, by queue; a queue where nothing does gets its 0."""
    oldest = dict.fromkeys(queues, 0.0)
    jobs: dict[tuple[str, str], int] = {}
    for depth in depths:
        oldest[depth.queue] = max(oldest.get(depth.queue, 0.0), depth.waited_s or 0.0)
        place = (depth.queue, depth.state)
        jobs[place] = jobs.get(place, 0) + depth.jobs
    samples = [Sample(OLDEST, {"queue": queue}, s) for queue, s in oldest.items()]
    samples += [Sample(DEPTH, {"queue": q, "state": s}, n) for (q, s), n in jobs.items()]
    conn.execute(SQL.add_samples, columns(samples))


def read_window(conn: Connection, *, span_min: int, step_min: int) -> Window:
    """The last `span_min` minutes, in slots whose ends stay where they are as time goes on."""
    row = conn.execute(SQL.read_window, {"span_min": span_min, "step_min": step_min}).fetchone()
    assert row is not None
    return Window(row[0], row[1], step_min)


def read_finished(conn: Connection, window: Window) -> list[Finished]:
    arguments = {**edges(window), "step_min": window.step_min}
    return rows(conn, Finished, SQL.read_finished, arguments)


def read_times(conn: Connection, window: Window) -> list[Bucket]:
    """Dispatch lags and durations."""
    return rows(conn, Bucket, SQL.read_times, edges(window))


def read_calls(conn: Connection, window: Window) -> list[Call]:
    return rows(conn, Call, SQL.read_calls, edges(window))


def read_call_times(conn: Connection, window: Window) -> list[CallTime]:
    return rows(conn, CallTime, SQL.read_call_times, edges(window))


def read_oldest(conn: Connection, window: Window) -> list[Oldest]:
    """By minute, for those minutes in which somebody looked."""
    return rows(conn, Oldest, SQL.read_oldest, edges(window))


def edges(window: Window) -> dict[str, datetime]:
    return {"begins_at": window.begins_at, "ends_at": window.ends_at}


def columns(samples: Sequence[Sample]) -> dict[str, object]:
    return {
        "names": [sample.name for sample in samples],
        "labels": [Jsonb(sample.labels) for sample in samples],
        "values": [float(sample.value) for sample in samples],
    }


def rows(
    conn: Connection, kind: type[T], statement: bytes, arguments: Mapping[str, object]
) -> list[T]:
    return conn.cursor(row_factory=class_row(kind)).execute(statement, arguments).fetchall()
