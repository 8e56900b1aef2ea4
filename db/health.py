"""Statements about whether work flows; see health.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("health")

LOOK_MS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Crew:
    """The live processes of a role."""

    role: str
    processes: int
    renewed_at: datetime


def limit_looking(conn: Connection) -> None:
    conn.execute(SQL.limit_looking, {"look_ms": LOOK_MS_MAX})


def list_processes(conn: Connection) -> list[Crew]:
    return conn.cursor(row_factory=class_row(Crew)).execute(SQL.list_processes).fetchall()
