"""Bounds of the dashboard's transactions; see dashboard.sql. No function commits."""

from db.pool import Connection
from db.statements import load

SQL = load("dashboard")


def limit_reading(conn: Connection, *, seconds: float) -> None:
    conn.execute(SQL.limit_reading, {"ms": int(seconds * 1_000)})


def limit_writing(conn: Connection, *, seconds: float, lock_s: float) -> None:
    conn.execute(SQL.limit_writing, {"ms": int(seconds * 1_000), "lock_ms": int(lock_s * 1_000)})
