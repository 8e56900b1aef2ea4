"""Statements about what usage cost by day; see usage_days.sql. No function commits."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("usage_days")

MODELS_MAX = 50
UNPRICED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class DaySum:
    """Of one day (UTC); without `model` what was used was no model's."""

    day: date
    usage_type: str
    model: str | None
    calls: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Spender:
    """Without `tenant`: accounts that are gone, taken together."""

    tenant: UUID | None
    calls: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """`calls` and `tokens` stop at UNPRICED_MAX + 1 calls."""

    model: str
    calls: int
    tokens: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class NearLimit:
    tenant: UUID
    used: int
    allowed: int
    tier: str
    period_from: date


@dataclass(frozen=True, slots=True)
class SpentBudget:
    tenant: UUID
    jobs: int
    since: datetime
    cap_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class StuckPeriod:
    tenant: UUID
    period_start: date
    period_end: date
    error_message: str


def sum_days(conn: Connection, *, from_on: date, until_on: date) -> list[DaySum]:
    """Of the days before `until_on`."""
    cursor = conn.cursor(row_factory=class_row(DaySum))
    return cursor.execute(SQL.sum_days, {"from_on": from_on, "until_on": until_on}).fetchall()


def list_spenders(conn: Connection, *, day: date, rows_max: int) -> list[Spender]:
    """Who spent most first."""
    cursor = conn.cursor(row_factory=class_row(Spender))
    values = {"from_on": day, "until_on": day + timedelta(days=1), "rows_max": rows_max}
    return cursor.execute(SQL.list_spenders, values).fetchall()


def list_month(conn: Connection, *, month: date, rows_max: int) -> list[Spender]:
    """Who spent most first, in the calendar month of that day."""
    cursor = conn.cursor(row_factory=class_row(Spender))
    values = {"year": month.year, "month": month.month, "rows_max": rows_max}
    return cursor.execute(SQL.list_month, values).fetchall()


def list_unpriced(conn: Connection) -> list[UnpricedModel]:
    """MODELS_MAX at most, the most used first."""
    cursor = conn.cursor(row_factory=class_row(UnpricedModel))
    values = {"models_max": MODELS_MAX, "calls_max": UNPRICED_MAX + 1}
    return cursor.execute(SQL.list_unpriced, values).fetchall()


def list_near_limits(conn: Connection, *, rows_max: int) -> list[NearLimit]:
    """Who is furthest beyond first."""
    cursor = conn.cursor(row_factory=class_row(NearLimit))
    return cursor.execute(SQL.list_near_limits, {"rows_max": rows_max}).fetchall()


def list_spent_budgets(conn: Connection, *, rows_max: int) -> list[SpentBudget]:
    cursor = conn.cursor(row_factory=class_row(SpentBudget))
    return cursor.execute(SQL.list_spent_budgets, {"rows_max": rows_max}).fetchall()


def list_stuck_periods(conn: Connection, *, rows_max: int) -> list[StuckPeriod]:
    cursor = conn.cursor(row_factory=class_row(StuckPeriod))
    return cursor.execute(SQL.list_stuck_periods, {"rows_max": rows_max}).fetchall()
