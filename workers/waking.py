"""How a dispatcher sleeps: until somebody inserts a job, or a time is over."""

import logging
import time
from collections.abc import Callable

import psycopg

from db.pool import Connection

RETRY_S_MAX = 0.5

log = logging.getLogger(__name__)


def listen(open_connection: Callable[[], Connection]) -> Callable[[float], None]:
    """A wait that ends early when a job is inserted; where it cannot listen, it only waits."""
    conn: Connection | None = None

    def wait(timeout_s: float) -> None:
        nonlocal conn
        try:
            if conn is None or conn.closed or conn.broken:
                conn = open_connection()
                conn.execute("LISTEN worker_jobs")
                return
            for _ in conn.notifies(timeout=timeout_s, stop_after=1):
                pass
        except psycopg.Error as error:
            log.debug("cannot listen: %s", error)
            conn = None
            time.sleep(min(timeout_s, RETRY_S_MAX))

    return wait
