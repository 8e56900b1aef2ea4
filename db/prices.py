"""Statements about what models cost; see prices.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("prices")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens; None where a model has no such price."""

    model: str
    valid_from: datetime
    input_usd: Decimal | None
    output_usd: Decimal | None
    embedding_usd: Decimal | None
    is_current: bool | None


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Usage of a model whose price was not known."""

    model: str
    rows: int
    prompt_tokens: int
    completion_tokens: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """US dollars for a million tokens; None leaves a price as it was."""

    input_usd: Decimal | None
    output_usd: Decimal | None
    embedding_usd: Decimal | None


def list_prices(conn: Connection, *, model: str | None, rows_max: int) -> list[Price]:
    """By model, the newest price first."""
    cursor = conn.cursor(row_factory=class_row(Price))
    return cursor.execute(SQL.list_prices, {"model": model, "rows_max": rows_max}).fetchall()


def set_price(conn: Connection, model: str, terms: Terms, *, valid_from: datetime | None) -> None:
    """From that time on, or from now. Rows that have a cost keep it."""
    conn.execute(
        SQL.set_price,
        {
            "model": model,
            "input_usd": terms.input_usd,
            "output_usd": terms.output_usd,
            "embedding_usd": terms.embedding_usd,
            "valid_from": valid_from,
        },
    )


def list_unpriced(conn: Connection, *, rows_max: int) -> list[Unpriced]:
    """The model with the most rows first."""
    cursor = conn.cursor(row_factory=class_row(Unpriced))
    return cursor.execute(SQL.list_unpriced, {"rows_max": rows_max}).fetchall()


def reprice_usage(conn: Connection, model: str, *, since: datetime, rows_max: int) -> int:
    """Price that many rows at most which had none; how many there were."""
    arguments = {"model": model, "since": since, "rows_max": rows_max}
    row = conn.execute(SQL.reprice_usage, arguments).fetchone()
    assert row is not None
    return int(row[0])
