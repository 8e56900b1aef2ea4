"""Statements about billing periods, prices and terms; see billing.sql. No function commits.

Periods are days of UTC, `period_end` is the first one after.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("billing")

NO_TAX = Decimal(0)
Tier = Literal["free", "starter", "professional", "enterprise"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A period that is over and not closed, with the plan it ended with."""

    period_start: date
    period_end: date
    messages_counted: int
    message_limit: int
    tier: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Messages of a period by both counts; `known` to its closing, None for an open one."""

    period_start: date
    counted: int
    logged: int
    known: int | None


@dataclass(frozen=True, slots=True)
class Account:
    tier: str
    message_limit: int
    created_at: datetime
    anchor_day: int
    running_start: date


@dataclass(frozen=True, slots=True)
class PlanChange:
    """The tier and limit that held until `changed_at`."""

    changed_at: datetime
    tier: str
    message_limit: int


@dataclass(frozen=True, slots=True)
class Terms:
    currency: str
    tax_rate: Decimal


@dataclass(frozen=True, slots=True)
class Transaction:
    id: UUID
    user_id: UUID
    amount: Decimal
    tax: Decimal
    total: Decimal
    currency: str
    invoice_number: str
    description: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A period as operators see it; `email` is None for an account that is gone."""

    user_id: UUID
    email: str | None
    period_start: date
    period_end: date
    closed_at: datetime | None
    error_message: str | None
    messages_counted: int
    message_limit: int
    tier: str
    closing: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Price:
    tier: str
    currency: str
    valid_from: datetime
    price_per_message: Decimal


def read_today(conn: Connection) -> date:
    row = conn.execute(SQL.read_today).fetchone()
    assert row is not None
    today: date = row[0]
    return today


def end_periods(conn: Connection, *, profiles_max: int, today: date) -> int:
    """Begin the running period of profiles whose last one is over; how many."""
    row = conn.execute(SQL.end_periods, {"profiles_max": profiles_max, "today": today}).fetchone()
    assert row is not None
    return int(row[0])


def end_period(conn: Connection, user_id: UUID, *, today: date) -> None:
    conn.execute(SQL.end_period, {"user_id": user_id, "today": today})


def list_due(conn: Connection, *, today: date, after: UUID, users_max: int) -> list[UUID]:
    """Users who have a period to close, by id."""
    values = {"today": today, "after": after, "users_max": users_max}
    return [row[0] for row in conn.execute(SQL.list_due, values)]


def take_period(conn: Connection, user_id: UUID, *, today: date) -> Ended | None:
    """The user's oldest period to close, locked until the transaction ends."""
    row = conn.execute(SQL.take_period, {"user_id": user_id, "today": today}).fetchone()
    return None if row is None else Ended(*row)


def count_messages(
    conn: Connection, user_id: UUID, *, period_start: date, periods_max: int
) -> list[Counted]:
    """The period that begins then, and those before it; the latest first."""
    values = {"user_id": user_id, "period_start": period_start, "periods_max": periods_max}
    return [Counted(*row) for row in conn.execute(SQL.count_messages, values)]


def read_account(conn: Connection, user_id: UUID) -> Account | None:
    row = conn.execute(SQL.read_account, {"user_id": user_id}).fetchone()
    return None if row is None else Account(*row)


def list_changes(conn: Connection, user_id: UUID, *, since: datetime) -> list[PlanChange]:
    rows = conn.execute(SQL.list_changes, {"user_id": user_id, "since": since})
    return [PlanChange(*row) for row in rows]


def read_terms(conn: Connection, user_id: UUID) -> Terms | None:
    row = conn.execute(SQL.read_terms, {"user_id": user_id}).fetchone()
    return None if row is None else Terms(*row)


def read_price(conn: Connection, *, tier: str, currency: str, until: datetime) -> Decimal | None:
    """What a message above the allowance cost at last before that moment."""
    row = conn.execute(
        SQL.read_price, {"tier": tier, "currency": currency, "until": until}
    ).fetchone()
    return None if row is None else row[0]


def find_next_start(
    conn: Connection, user_id: UUID, *, period_end: date, running_start: date
) -> date:
    row = conn.execute(
        SQL.find_next_start,
        {"user_id": user_id, "period_end": period_end, "running_start": running_start},
    ).fetchone()
    assert row is not None
    next_start: date = row[0]
    return next_start


def freeze_period(
    conn: Connection,
    user_id: UUID,
    *,
    period_start: date,
    idempotency_key: str,
    closing: dict[str, Any],
) -> None:
    conn.execute(
        SQL.freeze_period,
        {
            "user_id": user_id,
            "period_start": period_start,
            "idempotency_key": idempotency_key,
            "closing": Jsonb(closing),
        },
    )


def note_late(conn: Connection, user_id: UUID, *, period_start: date, messages: int) -> None:
    """Remember that messages of a closed period were added to a later one."""
    values = {"user_id": user_id, "period_start": period_start, "messages": messages}
    conn.execute(SQL.note_late, values)


def refuse_period(conn: Connection, user_id: UUID, *, period_start: date, message: str) -> None:
    """Say on a period why it stays open."""
    values = {"user_id": user_id, "period_start": period_start, "message": message}
    conn.execute(SQL.refuse_period, values)


def keep_missed(conn: Connection, user_id: UUID, *, period_start: date, period_end: date) -> None:
    values = {"user_id": user_id, "period_start": period_start, "period_end": period_end}
    conn.execute(SQL.keep_missed, values)


def insert_transaction(conn: Connection, wanted: Transaction) -> bool:
    """Whether a transaction of that id is there with these amounts."""
    values = {name: getattr(wanted, name) for name in Transaction.__slots__}
    conn.execute(SQL.insert_transaction, values)
    row = conn.execute(SQL.matches_transaction, values).fetchone()
    return row == (True,)


def emit_closing(conn: Connection, user_id: UUID, *, content: dict[str, Any]) -> None:
    conn.execute(SQL.emit_closing, {"user_id": user_id, "content": Jsonb(content)})


def notify(conn: Connection, user_id: UUID, *, title: str, message: str) -> None:
    conn.execute(SQL.notify, {"user_id": user_id, "title": title, "message": message})


def has_user(conn: Connection, user_id: UUID) -> bool:
    row = conn.execute(SQL.has_user, {"user_id": user_id}).fetchone()
    assert row is not None
    return bool(row[0])


def list_periods(conn: Connection, *, user_id: UUID | None, rows_max: int) -> list[Kept]:
    rows = conn.execute(SQL.list_periods, {"user_id": user_id, "rows_max": rows_max})
    return [Kept(*row) for row in rows]


def list_prices(conn: Connection) -> list[Price]:
    return [Price(*row) for row in conn.execute(SQL.list_prices)]


def set_price(
    conn: Connection, *, tier: str, currency: str, price: Decimal, valid_from: datetime | None
) -> None:
    conn.execute(
        SQL.set_price,
        {"tier": tier, "currency": currency, "price": price, "valid_from": valid_from},
    )


def set_terms(
    conn: Connection, user_id: UUID, *, tax_rate: Decimal | None, currency: str | None
) -> Terms | None:
    """What holds now; None where there is no such user."""
    row = conn.execute(
        SQL.set_terms, {"user_id": user_id, "tax_rate": tax_rate, "currency": currency}
    ).fetchone()
    return None if row is None else Terms(*row)
