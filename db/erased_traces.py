"""What other tables tell of a visitor who is forgotten; see erased_traces.sql.

Each function looks at some pages of its table, and says how many rows it changed. None commits.
"""

from dataclasses import dataclass
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("erased_traces")


@dataclass(frozen=True, slots=True)
class Pages:
    """`count` pages of a table, from `first` on."""

    first: int
    count: int


def list_places(conn: Connection) -> list[tuple[str, int]]:
    """Every table there is, with its number of pages."""
    return [(place, pages) for place, pages in conn.execute(SQL.list_places)]


def count_traces(conn: Connection, request_id: UUID, pages: Pages, *, place: str) -> int:
    """Rows in pages of any table that tell of the visitor."""
    values = {"request_id": request_id, "place": place, "page": pages.first, "pages": pages.count}
    row = conn.execute(SQL.count_traces, values).fetchone()
    assert row is not None
    return int(row[0])


def delete_notifications(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_notifications, request_id, pages)


def delete_activity(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_activity, request_id, pages)


def empty_deliveries(conn: Connection, request_id: UUID, pages: Pages) -> int:
    """That an event was sent stays, not what it told; what waits is cancelled."""
    values = {"request_id": request_id, "page": pages.first, "pages": pages.count}
    row = conn.execute(SQL.empty_deliveries, values).fetchone()
    assert row is not None
    if row[1]:
        conn.execute(SQL.end_delivery_jobs, {"delivery_ids": row[1]})
    return int(row[0])


def delete_bodies(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_bodies, request_id, pages)


def delete_attempts(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_attempts, request_id, pages)


def delete_emails(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_emails, request_id, pages)


def delete_email_events(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_email_events, request_id, pages)


def delete_told_events(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_told_events, request_id, pages)


def delete_told_corrections(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_told_corrections, request_id, pages)


def delete_told_examples(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_told_examples, request_id, pages)


def blank_usage(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.blank_usage, request_id, pages)


def blank_jobs(conn: Connection, request_id: UUID, pages: Pages) -> int:
    """Errors, progress and results; the arguments too of jobs that ended."""
    return change(conn, SQL.blank_jobs, request_id, pages)


def delete_job_logs(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_job_logs, request_id, pages)


def delete_lead_marks(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_lead_marks, request_id, pages)


def delete_sentiment_marks(conn: Connection, request_id: UUID, pages: Pages) -> int:
    return change(conn, SQL.delete_sentiment_marks, request_id, pages)


def change(conn: Connection, statement: bytes, request_id: UUID, pages: Pages) -> int:
    values = {"request_id": request_id, "page": pages.first, "pages": pages.count}
    row = conn.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])
