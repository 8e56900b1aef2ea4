"""The trace context that new jobs of a transaction carry; see traces.sql."""

from db.pool import Connection
from db.statements import load

SQL = load("traces")


def set_traceparent(conn: Connection, traceparent: str | None) -> None:
    conn.execute(SQL.set_traceparent, {"traceparent": traceparent or ""})
