"""Statements about the mails that triggers write; see announcements.sql. No function commits."""

from db.pool import Connection
from db.statements import load

SQL = load("announcements")


def announce_leads(conn: Connection, *, agents_max: int) -> int:
    """Mail owners of the leads that wait; how many agents were looked at."""
    return len(conn.execute(SQL.announce_leads, {"agents_max": agents_max}).fetchall())


def be_quiet(conn: Connection) -> None:
    """Nobody is mailed because of what this transaction writes."""
    conn.execute(SQL.be_quiet)
