"""Statements about sources as operators watch them; see watched_sources.sql. None commits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("watched_sources")

COUNT_MAX = 10_000
TOTAL_MAX = 100_000
# So many refreshes in a row that failed make a source one that fails.
FAILURES_MIN = 3
# A source is stale so long after its time: the schedule looks every few minutes.
STALE_S = 600.0
AGENTS_MAX = 1_000
SCAN_MAX = 20_000
TROUBLED_MAX = 5_000
CHILDREN_SCAN_MAX = 10_000
PAGES_SCAN_MAX = 100_000

Trouble = Literal["failing", "stale", "paused"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Each stops at COUNT_MAX + 1, `total` at TOTAL_MAX + 1."""

    total: int
    pending: int
    processing: int
    failed: int
    failing: int
    stale: int
    paused: int
    waited_s: float | None


@dataclass(frozen=True, slots=True)
class Failing:
    """`failures` are refreshes in a row; tokens and cost are of the last 24 hours."""

    id: UUID
    name: str
    type: str
    status: str
    tenant: UUID
    owner: str | None
    error: str | None
    failures: int
    since_at: datetime
    paused_at: datetime | None
    tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Working:
    """`usual_s` is the middle of `usual_runs` runs that ended well; no job: nobody works on it."""

    id: UUID
    name: str
    type: str
    tenant: UUID
    owner: str | None
    progress: dict[str, Any] | None
    job_id: int | None
    job_state: str | None
    took_s: float
    usual_runs: int
    usual_s: float | None
    tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Stale:
    id: UUID
    name: str
    type: str
    tenant: UUID
    owner: str | None
    due_at: datetime
    sync_frequency: str | None
    last_synced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sources; what is None does not matter. `pattern` is of ILIKE."""

    status: str | None = None
    type: str | None = None
    agent_ids: list[UUID] | None = None
    ids: list[UUID] | None = None
    text: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """`place` is the address or the file's name."""

    id: UUID
    created_at: datetime
    name: str
    type: str
    status: str
    tenant: UUID
    owner: str | None
    place: str | None
    error: str | None
    chunks: int
    tokens: int
    auto_sync: bool
    last_synced_at: datetime | None
    due_at: datetime | None
    failures: int
    paused_at: datetime | None
    parent_id: UUID | None


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What indexing `ids` again does; `matching` may be more, `busy` ones are left out.

    `usd_max` is if everything changed; `unpriced` ones are of a model without a price, and
    `unread` ones were never read.
    """

    ids: list[UUID] | None
    tenants: int
    tokens: int
    usd_max: Decimal
    unpriced: int
    unread: int
    busy: int
    matching: int
    scanned: int


@dataclass(frozen=True, slots=True)
class Source:
    """One source; whether it has credentials, never which."""

    id: UUID
    name: str
    type: str
    status: str
    agent_id: UUID
    agent: str
    tenant: UUID
    owner: str | None
    url: str | None
    file_name: str | None
    file_size: int | None
    file_type: str | None
    error: str | None
    progress: dict[str, Any] | None
    settings: dict[str, Any]
    chunks: int
    tokens: int
    auto_sync: bool
    sync_frequency: str | None
    last_synced_at: datetime | None
    created_at: datetime
    updated_at: datetime
    parent_id: UUID | None
    due_at: datetime | None
    failures: int
    failing_since: datetime | None
    paused_at: datetime | None
    model: str | None
    reading_kind: str
    usd_per_million: Decimal | None
    has_credentials: bool


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    kind: str
    state: str
    attempt: int
    max_attempts: int
    run_at: datetime
    started_at: datetime | None
    progress: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Paid:
    """What the remembered runs read and cost."""

    runs: int
    first_at: datetime | None
    tokens: int
    usd: Decimal
    usual_s: float | None


@dataclass(frozen=True, slots=True)
class Crawl:
    number: int
    stage: str
    site: str
    started_at: datetime
    visits: int
    kept: int
    failures_in_row: int
    complete: bool
    limits_hit: list[str]
    removed: int


@dataclass(frozen=True, slots=True)
class Child:
    id: UUID
    name: str
    url: str | None
    status: str
    error: str | None
    chunks: int


@dataclass(frozen=True, slots=True)
class Day:
    day_at: datetime
    tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Spender:
    """A tenant today, of `tenants` that spent `all_usd`; its cap and `month_usd` are monthly."""

    tenant: UUID | None
    owner: str | None
    tokens: int
    usd: Decimal
    tenants: int
    all_usd: Decimal
    cap_usd: Decimal | None
    month_usd: Decimal | None


def count(conn: Connection) -> Counts:
    values = {
        "count_max": COUNT_MAX,
        "total_max": TOTAL_MAX,
        "failures_min": FAILURES_MIN,
        "stale_s": STALE_S,
    }
    found = conn.cursor(row_factory=class_row(Counts)).execute(SQL.count, values).fetchone()
    assert found is not None
    return found


def list_failing(conn: Connection, *, rows_max: int) -> list[Failing]:
    values = {"failures_min": FAILURES_MIN, "rows_max": rows_max}
    return conn.cursor(row_factory=class_row(Failing)).execute(SQL.list_failing, values).fetchall()


def list_working(conn: Connection, *, rows_max: int) -> list[Working]:
    """The longest first."""
    cursor = conn.cursor(row_factory=class_row(Working))
    return cursor.execute(SQL.list_working, {"rows_max": rows_max}).fetchall()


def list_stale(conn: Connection, *, rows_max: int) -> list[Stale]:
    values = {"stale_s": STALE_S, "rows_max": rows_max}
    return conn.cursor(row_factory=class_row(Stale)).execute(SQL.list_stale, values).fetchall()


def list_troubled_ids(conn: Connection, trouble: Trouble) -> list[UUID]:
    values = {
        "trouble": trouble,
        "failures_min": FAILURES_MIN,
        "stale_s": STALE_S,
        "rows_max": TROUBLED_MAX,
    }
    return [row[0] for row in conn.execute(SQL.list_troubled_ids, values)]


def list_agents(conn: Connection, tenant: UUID) -> list[UUID]:
    values = {"tenant": tenant, "rows_max": AGENTS_MAX}
    return [row[0] for row in conn.execute(SQL.list_agents, values)]


def find_matching(
    conn: Connection, wanted: Filter, *, before: tuple[datetime, UUID] | None, rows_max: int
) -> list[Listed]:
    """The newest first, older than `before`."""
    values = {
        **asdict(wanted),
        "before_at": before and before[0],
        "before_id": before and before[1],
        "scan_max": SCAN_MAX,
        "rows_max": rows_max,
    }
    return conn.cursor(row_factory=class_row(Listed)).execute(SQL.find_matching, values).fetchall()


def reckon_matching(conn: Connection, wanted: Filter, *, rows_max: int) -> Reckoning:
    values = {**asdict(wanted), "scan_max": SCAN_MAX, "rows_max": rows_max}
    cursor = conn.cursor(row_factory=class_row(Reckoning))
    found = cursor.execute(SQL.reckon_matching, values).fetchone()
    assert found is not None
    return found


def lock_idle(conn: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Those of the sources that no job works on or will, locked, in that order."""
    return [row[0] for row in conn.execute(SQL.lock_idle, {"ids": list(ids)})]


def retry(conn: Connection, ids: Sequence[UUID]) -> None:
    """Index them again, as their owners ask for it. Raises psycopg's NoDataFound."""
    conn.execute(SQL.retry, {"ids": list(ids)})


def enqueue_missing(conn: Connection, ids: Sequence[UUID]) -> None:
    """Give those a job that have none although they are pending."""
    conn.execute(SQL.enqueue_missing, {"ids": list(ids)})


def spread(conn: Connection, ids: Sequence[UUID], *, gap_s: float) -> None:
    """Let the jobs of these sources begin `gap_s` apart."""
    conn.execute(SQL.spread, {"ids": list(ids), "gap_s": gap_s})


def get(conn: Connection, source_id: UUID) -> Source | None:
    cursor = conn.cursor(row_factory=class_row(Source))
    return cursor.execute(SQL.get, {"source_id": source_id}).fetchone()


def list_jobs(conn: Connection, source_id: UUID) -> list[Job]:
    cursor = conn.cursor(row_factory=class_row(Job))
    return cursor.execute(SQL.list_jobs, {"source_id": source_id}).fetchall()


def sum_runs(conn: Connection, source_id: UUID) -> Paid:
    cursor = conn.cursor(row_factory=class_row(Paid))
    found = cursor.execute(SQL.sum_runs, {"source_id": source_id}).fetchone()
    assert found is not None
    return found


def find_crawl(conn: Connection, source_id: UUID) -> Crawl | None:
    cursor = conn.cursor(row_factory=class_row(Crawl))
    return cursor.execute(SQL.find_crawl, {"source_id": source_id}).fetchone()


def count_pages(conn: Connection, source_id: UUID) -> dict[str, int]:
    """Of a crawl, by their state."""
    values = {"source_id": source_id, "rows_max": PAGES_SCAN_MAX}
    return {row[0]: row[1] for row in conn.execute(SQL.count_pages, values)}


def list_children(conn: Connection, source_id: UUID, *, rows_max: int) -> list[Child]:
    cursor = conn.cursor(row_factory=class_row(Child))
    values: Mapping[str, Any] = {
        "source_id": source_id,
        "scan_max": CHILDREN_SCAN_MAX,
        "rows_max": rows_max,
    }
    return cursor.execute(SQL.list_children, values).fetchall()


def sum_days(conn: Connection, *, days: int) -> list[Day]:
    """What embedding cost on each of the last days, today included; the oldest first."""
    return conn.cursor(row_factory=class_row(Day)).execute(SQL.sum_days, {"days": days}).fetchall()


def sum_tenants(conn: Connection, *, rows_max: int) -> list[Spender]:
    cursor = conn.cursor(row_factory=class_row(Spender))
    return cursor.execute(SQL.sum_tenants, {"rows_max": rows_max}).fetchall()
