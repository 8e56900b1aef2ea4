"""Times of Postgres that Python cannot hold: infinity, and years before 1 or after 9999."""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import adapters
from psycopg.adapt import Loader
from psycopg.pq import Format

from db.pool import Connection

# What stands for them; no clock shows either.
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class BoundedLoader(Loader):
    """psycopg's own, which refuses a whole row for one such time."""

    def __init__(self, oid: int, context: Any = None) -> None:
        super().__init__(oid, context)
        known = adapters.get_loader(oid, Format.TEXT)
        assert known is not None
        self._strict = known(oid, context)

    def load(self, data: bytes | bytearray | memoryview) -> Any:
        try:
            return self._strict.load(data)
        except psycopg.DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def bound_times(conn: Connection) -> None:
    """From now on, times that cannot be held are EARLIEST or LATEST and break no row."""
    conn.adapters.register_loader("timestamptz", BoundedLoader)
