"""Statements about wrong passwords and known browsers; see logins.sql. No function commits."""

from dataclasses import dataclass
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("logins")

DEVICE_DAYS = 180
DEVICES_MAX = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How many wrong passwords lock, and for how long."""

    # Of one name from one address, or from one known browser.
    pair_max: int
    # Of whatever name from one address.
    address_max: int
    # Of one name from all addresses; known browsers are not touched by it.
    name_max: int
    lock_s: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose password is tried, and from where: an address, or a known browser."""

    name: str
    address: str
    known: bool


def lock_attempts(conn: Connection, attempt: Attempt) -> None:
    """Until the transaction ends, nobody else tries this name."""
    conn.execute(SQL.lock_attempts, {"name": attempt.name})


def find_lock(conn: Connection, attempt: Attempt, limits: Limits) -> float | None:
    """Seconds until this may be tried again; None where it may be now."""
    row = conn.execute(
        SQL.find_lock,
        {
            "name": attempt.name,
            "address": attempt.address,
            "known": attempt.known,
            "pair_max": limits.pair_max,
            "address_max": limits.address_max,
            "name_max": limits.name_max,
            "lock_s": limits.lock_s,
        },
    ).fetchone()
    return None if row is None or row[0] is None else float(row[0])


def insert_failure(conn: Connection, attempt: Attempt) -> int:
    """Note it, and let those of the day before go; its id."""
    row = conn.execute(
        SQL.insert_failure, {"name": attempt.name, "address": attempt.address}
    ).fetchone()
    assert row is not None
    return int(row[0])


def delete_failure(conn: Connection, failure_id: int) -> None:
    """It was not judged after all."""
    conn.execute(SQL.delete_failure, {"failure_id": failure_id})


def count_failures(conn: Connection, attempt: Attempt, *, lock_s: float) -> int:
    row = conn.execute(
        SQL.count_failures,
        {"name": attempt.name, "address": attempt.address, "lock_s": lock_s},
    ).fetchone()
    assert row is not None
    return int(row[0])


def delete_failures(conn: Connection, attempt: Attempt) -> int:
    """Forget those of this name from this place; how many there were."""
    return conn.execute(
        SQL.delete_failures, {"name": attempt.name, "address": attempt.address}
    ).rowcount


def delete_failures_of(conn: Connection, name: str) -> int:
    """Forget those of this name from everywhere: its locks end."""
    return conn.execute(SQL.delete_failures_of, {"name": name}).rowcount


def is_known_device(conn: Connection, *, name: str, token_hash: bytes) -> bool:
    row = conn.execute(
        SQL.is_known_device, {"name": name, "token_hash": token_hash, "days": DEVICE_DAYS}
    ).fetchone()
    assert row is not None
    return bool(row[0])


def remember_device(conn: Connection, operator_id: UUID, *, token_hash: bytes) -> None:
    """The operator gave the right password in the browser that holds this token."""
    conn.execute(
        SQL.remember_device,
        {"operator_id": operator_id, "token_hash": token_hash, "devices_max": DEVICES_MAX},
    )
