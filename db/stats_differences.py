"""Where daily_stats are not what the raw rows say; see stats_differences.sql. Commits nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("stats_differences")


@dataclass(frozen=True, slots=True)
class Difference:
    """Figures by column, as JSON; None where there is no row, or should be none."""

    agent_id: UUID
    date: date
    stored: str | None
    expected: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """Differences of some time: how many were found, how many of them are not repaired yet."""

    found: int
    lasting: int
    last_at: datetime | None


def find_differences(
    conn: Connection, *, agent_ids: Sequence[UUID], rows_max: int
) -> list[Difference]:
    """The wrong days of these agents that no mark concerns; reads all their raw rows."""
    values = {"agent_ids": list(agent_ids), "rows_max": rows_max}
    rows = conn.execute(SQL.find_differences, values).fetchall()
    return [Difference(*row) for row in rows]


def record_differences(conn: Connection, differences: Sequence[Difference]) -> None:
    """Keep them, and mark their days to be computed again."""
    conn.execute(
        SQL.record_differences,
        {
            "agent_ids": [each.agent_id for each in differences],
            "dates": [each.date for each in differences],
            "stored": [each.stored for each in differences],
            "expected": [each.expected for each in differences],
        },
    )


def count_differences(conn: Connection, *, days: int) -> Count:
    """Of the last days."""
    row = conn.execute(SQL.count_differences, {"days": days}).fetchone()
    assert row is not None
    return Count(*row)


def delete_gone(conn: Connection, *, days: int) -> None:
    """Forget differences after that many days, and what agents left behind that are gone."""
    conn.execute(SQL.delete_gone, {"days": days})
