"""Looks for a secret in everything that a run leaves behind."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from db.pool import Connection

SEALED = ("worker", "source_credentials")


@dataclass
class Traces:
    """What was logged in the block, at every level."""

    lines: list[str] = field(default_factory=list)

    def places(self, conn: Connection, secret: str) -> list[str]:
        """Where it can be read: tables of the database, or the log."""
        tables = conn.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema IN ('public', 'worker') AND table_type = 'BASE TABLE'"
        ).fetchall()
        found = [f"{s}.{t}" for s, t in tables if holds(conn, s, t, secret)]
        return found + ["log" for line in self.lines if secret in line]


def holds(conn: Connection, schema: str, table: str, secret: str) -> bool:
    query = f"SELECT count(*) FROM {schema}.{table} AS row WHERE strpos(row::text, %s) > 0"
    found = conn.execute(query.encode(), [secret]).fetchone()
    assert found is not None
    return bool(found[0])


@contextmanager
def watching() -> Iterator[Traces]:
    traces = Traces()

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            traces.lines.append(logging.Formatter().format(record))

    keeper, root = Keeper(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    try:
        yield traces
    finally:
        root.setLevel(level)
        root.removeHandler(keeper)
