"""Statements about tests of disabled webhooks; see webhook_probes.sql. No function commits."""

from collections.abc import Sequence

from db.pool import Connection
from db.statements import load

SQL = load("webhook_probes")


def revive(conn: Connection, *, rows_max: int) -> int:
    """Activate webhooks that answered their test, and tell their owners; how many."""
    row = conn.execute(SQL.revive, {"rows_max": rows_max}).fetchone()
    assert row is not None
    return int(row[0])


def end_attempts(conn: Connection, *, rows_max: int) -> int:
    """Of tests that failed once; how many."""
    return conn.execute(SQL.end_attempts, {"rows_max": rows_max}).rowcount


def begin(conn: Connection, *, wait_s: float, rows_max: int) -> None:
    """Plan the first test of what was disabled lately."""
    conn.execute(SQL.begin, {"wait_s": wait_s, "rows_max": rows_max})


def send_due(conn: Connection, *, waits_s: Sequence[float], rows_max: int) -> int:
    """Send the tests that are due; how many."""
    row = conn.execute(SQL.send_due, {"waits_s": list(waits_s), "rows_max": rows_max}).fetchone()
    assert row is not None
    return int(row[0])
