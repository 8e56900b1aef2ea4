"""Visitors who are forgotten: requests and their own rows; see erasures.sql.

No function commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("erasures")


@dataclass(frozen=True, slots=True)
class Request:
    """Once it is done nothing says who it was: visitor_id and email are None.

    `counts` are rows that were deleted or emptied, `remains` those that still tell of the
    visitor, both by table.
    """

    id: UUID
    agent_id: UUID
    user_id: UUID
    visitor_id: str | None
    email: str | None
    state: str
    requested_at: datetime
    finished_at: datetime | None
    counts: dict[str, int]
    remains: dict[str, int]


def request(
    conn: Connection, agent_id: UUID, *, visitor_id: str | None = None, email: str | None = None
) -> UUID:
    """Ask for an erasure, and enqueue it; the id of the request, of the open one if there is one.

    Raises psycopg's NoDataFound where the caller has no such agent, InvalidParameterValue for
    what names nobody.
    """
    values = {"agent_id": agent_id, "visitor_id": visitor_id, "email": email}
    found: UUID = first(conn, SQL.request, values)
    return found


def find_owner(conn: Connection, agent_id: UUID) -> UUID | None:
    """Whose agent it is, for who asks in their place."""
    row = conn.execute(SQL.find_owner, {"agent_id": agent_id}).fetchone()
    return None if row is None else UUID(str(row[0]))


def get(conn: Connection, request_id: UUID) -> Request | None:
    row = conn.execute(SQL.get, {"request_id": request_id}).fetchone()
    return None if row is None else Request(*row)


def list_requests(
    conn: Connection, *, agent_id: UUID | None = None, rows_max: int
) -> list[Request]:
    """Newest first."""
    values = {"agent_id": agent_id, "rows_max": rows_max}
    return [Request(*row) for row in conn.execute(SQL.list_requests, values)]


def begin(conn: Connection, request_id: UUID) -> bool:
    """False when it is done already."""
    return conn.execute(SQL.begin, {"request_id": request_id}).rowcount == 1


def hold_agent(conn: Connection, request_id: UUID) -> None:
    """Until the end of the transaction no other erasure of the agent writes."""
    conn.execute(SQL.hold_agent, {"request_id": request_id})


def gather(conn: Connection, request_id: UUID) -> int:
    """Take one step to more of the visitor's conversations and leads; how many were found."""
    return int(first(conn, SQL.gather, {"request_id": request_id}))


def delete_sentiment(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_sentiment, request_id, rows_max)


def delete_examples(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """Training examples that quote the visitor."""
    return take(conn, SQL.delete_examples, request_id, rows_max)


def delete_corrections(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_corrections, request_id, rows_max)


def blank_addresses(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """The visitor's IP address where it stands on events of nobody."""
    return take(conn, SQL.blank_addresses, request_id, rows_max)


def delete_sessions(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """Events without a visitor, of the visitor's sessions."""
    return take(conn, SQL.delete_sessions, request_id, rows_max)


def delete_events(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_events, request_id, rows_max)


def delete_messages(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_messages, request_id, rows_max)


def delete_leads(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_leads, request_id, rows_max)


def delete_conversations(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    return take(conn, SQL.delete_conversations, request_id, rows_max)


def delete_namesakes(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """Notifications that name the visitor and lead to no row that could be another one's."""
    return take(conn, SQL.delete_namesakes, request_id, rows_max)


def hide_suppressions(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """Addresses that get no mail go on getting none, by their hash alone."""
    return take(conn, SQL.hide_suppressions, request_id, rows_max)


def forget_marks(conn: Connection, request_id: UUID, *, rows_max: int) -> int:
    """Days to recount are known without the visitor by now."""
    return take(conn, SQL.forget_marks, request_id, rows_max)


def count_change(conn: Connection, request_id: UUID, *, place: str, rows: int) -> None:
    conn.execute(SQL.count_change, {"request_id": request_id, "place": place, "rows": rows})


def leave_incomplete(conn: Connection, request_id: UUID, *, remains: dict[str, int]) -> bool:
    """False when it was asked for again meanwhile."""
    args = {"request_id": request_id, "remains": Jsonb(remains)}
    return conn.execute(SQL.leave_incomplete, args).rowcount == 1


def finish(conn: Connection, request_id: UUID) -> bool:
    """Blank what names the visitor; the owner's trail tells that somebody was erased.

    False, and nothing is blank, when it was asked for again meanwhile.
    """
    return conn.execute(SQL.finish, {"request_id": request_id}).rowcount == 1


def take(conn: Connection, statement: bytes, request_id: UUID, rows_max: int) -> int:
    return int(first(conn, statement, {"request_id": request_id, "rows_max": rows_max}))


def first(conn: Connection, statement: bytes, values: dict[str, Any]) -> Any:
    row = conn.execute(statement, values).fetchone()
    assert row is not None
    return row[0]
