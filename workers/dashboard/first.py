"""The first operator: closed by default, and whoever reads the log of the first start gets in."""

import logging
import threading
import time

import psycopg

from db import audit, operators
from db.pool import Connection
from workers.answering import Borrow
from workers.dashboard.passwords import Passwords, make_one_time

ADMIN = "admin"
RETRY_S = 2.0

log = logging.getLogger(__name__)


def begin(borrow: Borrow, passwords: Passwords, *, address: str) -> threading.Thread:
    """Beside what serves: Postgres may be away, or its schema older, for as long as it likes."""
    thread = threading.Thread(
        target=keep_trying, args=(borrow, passwords, address), name="first operator", daemon=True
    )
    thread.start()
    return thread


def keep_trying(borrow: Borrow, passwords: Passwords, address: str) -> None:
    while True:
        try:
            with borrow() as conn, conn.transaction():
                password = create(conn, passwords)
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            time.sleep(RETRY_S)
            continue
        if password is not None:
            tell(password, address)
        return


def create(conn: Connection, passwords: Passwords) -> str | None:
    """The one-time password of a new admin; None where there are operators already."""
    operators.lock_operators(conn)
    if operators.has_operators(conn):
        return None
    password = make_one_time()
    operators.insert_operator(
        conn,
        ADMIN,
        role="admin",
        password_hash=passwords.hash(password),
        must_change_password=True,
    )
    audit.append(
        conn,
        operator="dashboard",
        role="none",
        action="add_operator",
        target=f"operator {ADMIN}",
        why="first start",
        details={"role": "admin", "origin": "password"},
    )
    return password


def tell(password: str, address: str) -> None:
    """Once, after it was stored; only its hash is kept."""
    log.warning(
        "FIRST START: sign in at %s/login as %s with the one-time password %s (it works once; "
        "lost: avivro operators password %s)",
        address,
        ADMIN,
        password,
        ADMIN,
    )
