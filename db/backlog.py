"""Statements about what waits and runs, as pages show it; see backlog.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("backlog")

NOBODY = UUID(int=0)
# Of one queue, how many (priority, tenant, lane) are looked at.
LANES_MAX = 4_000
# Of one lane, how many waiting jobs are counted.
WAITING_MAX = 10_000
LATER_MAX = 100_000
# A busy quarter of an hour is told from the jobs that ended last.
STARTED_MAX = 20_000
HOLDS_MAX = 1_000
BUCKETS_MAX = 100
ENDED_MAX = 20_000
# How far back a tenant's own discards are looked for among everybody's.
DISCARDS_SEEN_MAX = 20_000
ERROR_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Waiting:
    """Available jobs of one lane; `jobs` may be one more than WAITING_MAX, and then is a bound."""

    queue: str
    priority: int
    tenant: UUID
    lane: str
    oldest_at: datetime
    jobs: int

    @property
    def kind(self) -> str:
        return self.lane.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Flying:
    """Jobs of one lane that run, or are on the runway."""

    queue: str
    tenant: UUID
    lane: str
    running: int
    dispatched: int

    @property
    def kind(self) -> str:
        return self.lane.partition(":")[0]

    @property
    def jobs(self) -> int:
        return self.running + self.dispatched


@dataclass(frozen=True, slots=True)
class Later:
    """Jobs whose time has not come; `state` is scheduled or retryable."""

    queue: str
    kind: str
    state: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Started:
    """Jobs that began within a minute."""

    queue: str
    priority: int
    tenant: UUID
    minute: datetime
    jobs: int


@dataclass(frozen=True, slots=True)
class KindLimit:
    """What worker.kinds says now; without `limit_by` it holds for the kind as a whole."""

    kind: str
    limit_by: str | None
    cap: int | None
    rate_per_s: float | None
    burst: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane that may have `cap` jobs in flight for a while; without `until_at` for good."""

    lane: str
    cap: int
    until_at: datetime | None
    reason: str | None

    @property
    def kind(self) -> str:
        return self.lane.partition(":")[0]

    @property
    def key(self) -> str:
        return self.lane.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Runs:
    """How jobs of a kind went; times are of the last attempt of each, None where none began."""

    kind: str
    ended: int
    discarded: int
    retries: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Jobs of a queue that ended in the `step`-th step since the beginning."""

    queue: str
    step: int
    completed: int
    discarded: int


@dataclass(frozen=True, slots=True)
class Discard:
    id: int
    kind: str
    queue: str
    attempt: int
    finished_at: datetime
    error: str | None


def list_waiting(conn: Connection) -> list[Waiting]:
    """By queue, priority, tenant and lane. A queue with LANES_MAX rows may have more."""
    cursor = conn.cursor(row_factory=class_row(Waiting))
    return cursor.execute(
        SQL.list_waiting, {"lanes_max": LANES_MAX, "jobs_max": WAITING_MAX + 1}
    ).fetchall()


def list_flying(conn: Connection) -> list[Flying]:
    return conn.cursor(row_factory=class_row(Flying)).execute(SQL.list_flying).fetchall()


def list_later(conn: Connection) -> list[Later]:
    cursor = conn.cursor(row_factory=class_row(Later))
    return cursor.execute(SQL.list_later, {"jobs_max": LATER_MAX}).fetchall()


def list_started(
    conn: Connection, *, since: datetime, jobs_max: int = STARTED_MAX
) -> tuple[datetime, list[Started]]:
    """What began since then. The time is later than `since` where `jobs_max` ended after it."""
    rows = conn.execute(SQL.list_started, {"since": since, "jobs_max": jobs_max}).fetchall()
    return rows[0][0], [Started(*row[1:]) for row in rows if row[1] is not None]


def list_limits(conn: Connection) -> dict[str, KindLimit]:
    """By kind, all that the database knows."""
    rows = conn.cursor(row_factory=class_row(KindLimit)).execute(SQL.list_limits).fetchall()
    return {row.kind: row for row in rows}


def list_holds(conn: Connection) -> list[Hold]:
    """Stopped lanes first; HOLDS_MAX at most."""
    cursor = conn.cursor(row_factory=class_row(Hold))
    return cursor.execute(SQL.list_holds, {"rows_max": HOLDS_MAX}).fetchall()


def list_buckets(conn: Connection) -> list[tuple[str, float]]:
    """(lane, starts that it may have at once), the emptiest first."""
    return conn.execute(SQL.list_buckets, {"rows_max": BUCKETS_MAX}).fetchall()


def list_runs(conn: Connection, *, since: datetime) -> dict[str, Runs]:
    """By kind, of the ENDED_MAX jobs that ended last."""
    values = {"since": since, "jobs_max": ENDED_MAX}
    rows = conn.cursor(row_factory=class_row(Runs)).execute(SQL.list_runs, values).fetchall()
    return {row.kind: row for row in rows}


def list_ended(conn: Connection, *, since: datetime, step_s: float) -> list[Ended]:
    """Of the ENDED_MAX jobs that ended last."""
    values = {"since": since, "step_s": step_s, "jobs_max": ENDED_MAX}
    return conn.cursor(row_factory=class_row(Ended)).execute(SQL.list_ended, values).fetchall()


def list_discards(
    conn: Connection, tenant: UUID, *, since: datetime, rows_max: int
) -> list[Discard]:
    """The newest first, of the DISCARDS_SEEN_MAX that were discarded last."""
    cursor = conn.cursor(row_factory=class_row(Discard))
    return cursor.execute(
        SQL.list_discards,
        {
            "tenant": tenant,
            "since": since,
            "rows_max": rows_max,
            "jobs_max": DISCARDS_SEEN_MAX,
            "chars_max": ERROR_CHARS_MAX,
        },
    ).fetchall()
