"""Looks at the queues once a minute, so that pages can show how they came to be as they are."""

import logging

import psycopg

from db import history, metrics
from db.pool import Connection
from workers.jobs import QUEUES

log = logging.getLogger(__name__)


def sample(conn: Connection) -> bool:
    """Note what waits now; False where somebody did in this minute. Raises psycopg.Error.

    It counts jobs, 0.3 s for a million of those that wait: no turn of a dispatcher may wait for it.
    """
    if history.is_sampled(conn):
        return False
    with conn.transaction():
        depths = metrics.count_jobs(conn, with_discarded=False)
        history.add_samples(conn, depths, queues=list(QUEUES))
    return True


def try_sample(conn: Connection) -> None:
    """A gap in a chart is no trouble."""
    try:
        sample(conn)
    except psycopg.errors.QueryCanceled:
        log.warning("too many jobs wait to count them in time: no sample of this minute")
