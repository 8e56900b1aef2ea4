"""Statements about whether work flows; see health.sql. No function commits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("health")

LOOK_MS_MAX = 5_000
LANES_MAX = 300
COUNT_MAX = 1_000
ROWS_MAX = 50
DISCARDS_MAX = 5_000
# Of each hour before; there are up to 168.
HOUR_DISCARDS_MAX = 100
DAY_S = 86_400
SAMPLE_EVERY_S = 55
SAMPLES_KEPT_S = 7_200
DEPARTURES_KEPT_S = 30 * DAY_S
CALLS = "avivro_provider_calls_total"
# How a call may end that the provider is not to blame for.
FINE = ("ok", "whole", "cut", "refused", "empty", "inputrefused", "contentrefused")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Crew:
    """The live processes of a role."""

    role: str
    processes: int
    renewed_at: datetime


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue: its live threads, and what waits in it (`waiting` up to COUNT_MAX + 1).

    `oldest_at` is when the oldest waiting job was due, `free_at` the same of those that nothing
    holds back. `last_host` served it last, where nobody does now.
    """

    queue: str
    threads: int
    in_flight: int
    waiting: int
    oldest_at: datetime | None
    free_at: datetime | None
    kinds: list[str]
    last_host: str | None
    last_left_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnknownKind:
    """A kind that the code does not know, and jobs of it, up to COUNT_MAX."""

    kind: str
    jobs: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class LateSchedule:
    name: str
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """Processes of a role on a host that went without a word; the newest one's pid and cause.

    `missing` of them were not replaced; `lately` counts those of the last minutes.
    """

    role: str
    host: str
    missing: int
    lately: int
    seen_at: datetime
    pid: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class Discards:
    """Of a kind in the last minutes, and how many are usual in as many minutes."""

    kind: str
    lately: int
    usual: float


@dataclass(frozen=True, slots=True)
class Calls:
    """Of a provider since a time; `limited` are those of `failed` that it refused as too many."""

    provider: str
    since: datetime
    ok: int
    failed: int
    limited: int


@dataclass(frozen=True, slots=True)
class Server:
    """Postgres' connections, and the oldest transaction that is older than was asked for."""

    connections: int
    connections_max: int
    oldest_name: str | None
    oldest_pid: int | None
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Canary:
    """When the last one landed (None: none yet), and since when there should be one."""

    landed_at: datetime | None
    due_at: datetime | None
    begins_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """How many, up to COUNT_MAX + 1, and since when."""

    number: int
    since: datetime | None


def limit_looking(conn: Connection) -> None:
    conn.execute(SQL.limit_looking, {"look_ms": LOOK_MS_MAX})


def read_clock(conn: Connection) -> datetime:
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    at: datetime = row[0]
    return at


def list_crews(conn: Connection) -> list[Crew]:
    return rows(conn, Crew, SQL.list_crews)


def list_queues(conn: Connection, queues: Sequence[str]) -> list[QueueState]:
    """One for each of these queues. Of one with very many lanes, those that come first count."""
    arguments = {"queues": list(queues), "lanes_max": LANES_MAX, "count_max": COUNT_MAX}
    return rows(conn, QueueState, SQL.list_queues, arguments)


def list_waiting_queues(conn: Connection) -> list[str]:
    found = conn.execute(SQL.list_waiting_queues, {"rows_max": ROWS_MAX}).fetchall()
    return [queue for (queue,) in found]


def list_unknown_kinds(conn: Connection, kinds: Collection[str]) -> list[UnknownKind]:
    """Other kinds than these, of jobs that are about to run or put off a moment ago."""
    arguments = {"kinds": list(kinds), "looked_max": COUNT_MAX, "rows_max": ROWS_MAX}
    return rows(conn, UnknownKind, SQL.list_unknown_kinds, arguments)


def read_promotion(conn: Connection) -> datetime | None:
    """When the next job falls due, or fell due and was not put among those that wait."""
    row = conn.execute(SQL.read_promotion).fetchone()
    return None if row is None else row[0]


def list_late_schedules(conn: Connection, *, late_s: float) -> list[LateSchedule]:
    return rows(conn, LateSchedule, SQL.list_late_schedules, {"late_s": late_s})


def list_lost_processes(conn: Connection, *, window_s: float, crash_s: float) -> list[Lost]:
    arguments = {"window_s": window_s, "crash_s": crash_s, "rows_max": ROWS_MAX}
    return rows(conn, Lost, SQL.list_lost_processes, arguments)


def list_discards(conn: Connection, *, window_s: float, number_min: int) -> list[Discards]:
    """Kinds with `number_min` or more; fewer are not worth a look at what is usual."""
    arguments = {
        "window_s": window_s,
        "number_min": number_min,
        "rows_max": DISCARDS_MAX,
        "hour_max": HOUR_DISCARDS_MAX,
    }
    return rows(conn, Discards, SQL.list_discards, arguments)


def list_provider_calls(conn: Connection, *, window_s: float) -> list[Calls]:
    """Empty until there is a sample to compare with."""
    arguments = {"window_s": window_s, "fine": list(FINE), "counter": CALLS}
    return rows(conn, Calls, SQL.list_provider_calls, arguments)


def sample_provider_calls(conn: Connection) -> None:
    arguments = {"every_s": SAMPLE_EVERY_S, "fine": list(FINE), "counter": CALLS}
    conn.execute(SQL.sample_provider_calls, arguments)


def read_uncertain_mails(conn: Connection) -> Counted:
    return counted(conn, SQL.read_uncertain_mails, {"count_max": COUNT_MAX})


def read_stopped_webhooks(conn: Connection, *, window_s: float) -> Counted:
    arguments = {"window_s": window_s, "count_max": COUNT_MAX}
    return counted(conn, SQL.read_stopped_webhooks, arguments)


def read_lasting_differences(conn: Connection, *, age_s: float) -> Counted:
    return counted(conn, SQL.read_lasting_differences, {"age_s": age_s, "count_max": COUNT_MAX})


def read_server(conn: Connection, *, age_s: float) -> Server:
    (server,) = rows(conn, Server, SQL.read_server, {"age_s": age_s})
    return server


def read_canary(conn: Connection, *, kind: str) -> Canary | None:
    """None where nobody sends one, or somebody stopped it on purpose."""
    found = rows(conn, Canary, SQL.read_canary, {"kind": kind})
    return found[0] if found else None


def land_canary(conn: Connection, *, job_id: int) -> float:
    """How many seconds the job was under way."""
    row = conn.execute(SQL.land_canary, {"job_id": job_id}).fetchone()
    assert row is not None
    flown_s: float = row[0]
    return flown_s


def forget_old(conn: Connection) -> None:
    arguments = {"samples_s": SAMPLES_KEPT_S, "departures_s": DEPARTURES_KEPT_S}
    conn.execute(SQL.forget_old, arguments)


def rows(
    conn: Connection, kind: type[T], statement: bytes, arguments: Mapping[str, object] | None = None
) -> list[T]:
    return conn.cursor(row_factory=class_row(kind)).execute(statement, arguments).fetchall()


def counted(conn: Connection, statement: bytes, arguments: Mapping[str, object]) -> Counted:
    row = conn.execute(statement, arguments).fetchone()
    assert row is not None
    return Counted(row[0], row[1])
