"""Connections: one way to open them, for a server or for a transaction pooler in front of it."""

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[TupleRow]
Pool = ConnectionPool[Connection]

CONNECT_TIMEOUT_S = 5
WAIT_STEP_S = 0.5
# A cut cable looks like a slow query until the kernel gives up: ask early.
KEEPALIVE: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# Postgres is away, or it only reads, or it ended a transaction of ours that stood still.
AWAY = (psycopg.OperationalError, psycopg.InternalError)

# The schema is older than the code, or newer.
UNMIGRATED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
)

log = logging.getLogger(__name__)


def connect(url: str, *, autocommit: bool = False, name: str = "avivro") -> Connection:
    """Open one connection. Prepares nothing, so a transaction pooler may stand in between."""
    return psycopg.connect(
        url,
        autocommit=autocommit,
        prepare_threshold=None,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=name,
        **KEEPALIVE,
    )


def open_pool(url: str, *, size_max: int, autocommit: bool = False, name: str = "avivro") -> Pool:
    """A pool that opens connections when they are first needed.

    Each is checked when it is borrowed. With `autocommit`, for single statements, it is not: the
    borrower asks again when the first connection turns out to be dead.
    """
    return ConnectionPool(
        url,
        min_size=0,
        max_size=size_max,
        max_idle=60,
        timeout=30,
        kwargs={
            "autocommit": autocommit,
            "prepare_threshold": None,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": name,
            **KEEPALIVE,
        },
        check=None if autocommit else ConnectionPool.check_connection,
        name=name,
        open=True,
    )


def wait_for(what: str, ready: Callable[[], object], *, stop: Callable[[], bool]) -> bool:
    """Call `ready` until it no longer raises OSError or OperationalError; False when stopped."""
    told = False
    while not stop():
        try:
            ready()
        except (OSError, psycopg.OperationalError) as error:
            if not told:
                reason = str(error).strip().partition("\n")[0]
                log.warning("waiting for %s: %s", what, reason)
                told = True
            time.sleep(WAIT_STEP_S)
        else:
            if told:
                log.info("%s is there", what)
            return True
    return False
