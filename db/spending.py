"""Statements about what tenants may spend; see spending.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("spending")


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request may be paid; without `cap_usd` anything may. `resumes_at` is when the
    month is over.
    """

    allowed: bool
    cap_usd: Decimal | None
    resumes_at: datetime
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who has a cap, a weight, or spent something this month."""

    tenant: UUID
    email: str
    weight: float
    cap_usd: Decimal | None
    spent_usd: Decimal
    paused_jobs: int


def reserve_spending(
    conn: Connection, *, job_id: int, attempt: int, tenant: UUID, usd: Decimal
) -> Allowance:
    """Reserve `usd` for all that this attempt has in flight, if the tenant's cap allows it."""
    cursor = conn.cursor(row_factory=class_row(Allowance))
    found = cursor.execute(
        SQL.reserve_spending,
        {"job_id": job_id, "attempt": attempt, "tenant": tenant, "usd": usd},
    ).fetchone()
    assert found is not None
    return found


def pause_job(conn: Connection, *, job_id: int, tenant: UUID, needs_usd: Decimal) -> None:
    """Let the job be woken when its tenant may spend that much again."""
    arguments = {"job_id": job_id, "tenant": tenant, "needs_usd": needs_usd}
    conn.execute(SQL.pause_job, arguments)


def explain_pause(conn: Connection, source_id: UUID, note: str) -> None:
    conn.execute(SQL.explain_pause, {"source_id": source_id, "note": note})


def wake_paused_jobs(conn: Connection) -> int:
    """Let those go on whose tenant may spend again; how many."""
    row = conn.execute(SQL.wake_paused_jobs).fetchone()
    assert row is not None
    return int(row[0])


def set_cap(conn: Connection, tenant: UUID, cap_usd: Decimal | None) -> None:
    """What waits for a higher one goes on at once."""
    conn.execute(SQL.set_cap, {"tenant": tenant, "cap_usd": cap_usd})


def list_tenants(conn: Connection, *, rows_max: int) -> list[Tenant]:
    """Who spent most first."""
    cursor = conn.cursor(row_factory=class_row(Tenant))
    return cursor.execute(SQL.list_tenants, {"rows_max": rows_max}).fetchall()


def find_tenant(conn: Connection, tenant: UUID) -> bool:
    return conn.execute(SQL.find_tenant, {"tenant": tenant}).fetchone() is not None


def list_prices(conn: Connection) -> dict[str, Decimal]:
    """US dollars for a million tokens, by model."""
    return {row[0]: row[1] for row in conn.execute(SQL.list_prices).fetchall()}
