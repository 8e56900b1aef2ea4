"""Statements about the figures of all processes; see metrics.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("metrics")

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, or what is to be added to it; `name` is Prometheus' own."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Depth:
    """Jobs of a queue and kind in a state, and how long the oldest due one has waited."""

    queue: str
    kind: str
    state: str
    jobs: int
    waited_s: float | None


def add_deltas(conn: Connection, deltas: Sequence[Sample]) -> None:
    """Raises OperationalError where the rows stay locked; then nothing is added."""
    conn.execute(SQL.wait_briefly)
    conn.execute(
        SQL.add_deltas,
        {
            "names": [delta.name for delta in deltas],
            "labels": [Jsonb(delta.labels) for delta in deltas],
            "values": [float(delta.value) for delta in deltas],
        },
    )


def read_totals(conn: Connection) -> list[Sample]:
    return conn.cursor(row_factory=class_row(Sample)).execute(SQL.read_totals).fetchall()


def count_jobs(conn: Connection, *, with_discarded: bool = True) -> list[Depth]:
    """Unfinished jobs, about 0.3 s a million; discarded ones lie scattered: 4 s a million."""
    conn.execute(SQL.count_gently)
    cursor = conn.cursor(row_factory=class_row(Depth))
    return cursor.execute(SQL.count_jobs, {"with_discarded": with_discarded}).fetchall()


def count_processes(conn: Connection) -> dict[str, int]:
    """Live processes by role."""
    return dict(conn.execute(SQL.count_processes).fetchall())


def count_pauses(conn: Connection) -> dict[str, int]:
    """What operators stopped, by scope."""
    return dict(conn.execute(SQL.count_pauses).fetchall())
